// Has an image of the workers' machine made: step by step, each decided by what is there at the moment, so that whoever
// was interrupted begins again and goes on.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "aws/deploy/image_service.hpp"
#include "aws/deploy/stack_state.hpp"

namespace imgrec::aws {

enum class ImageStep {
  use,             // the image is there
  follow_image,    // EC2 makes it
  remove_image,    // it could not be made, and is in the way of the next one
  follow_builder,  // it installs
  read_builder,    // it has stopped: its console tells how the installation ended
  end_builder,     // nobody needs it: left over, or a second one of two that began at once
  held,            // another imgrec deploy makes another image
  launch,
};

struct NextImageStep {
  ImageStep step = ImageStep::launch;
  std::optional<MachineImage> image;
  std::optional<Builder> builder;
};

struct ImageHolder {
  StackHolder self;
  bool (*is_running)(long process) = nullptr;  // asked only about one of this machine
  bool take_over = false;                      // end the builders of others
};

/// It has ended, or is about to.
bool is_over(const Builder& builder);

/// What to do next to have an image of the recipe. Pure.
NextImageStep next_image_step(std::span<const MachineImage> images, std::span<const Builder> builders,
                              const std::string& recipe, const ImageHolder& holder);

/// How an installation ended, of the lines that configs/user-data/bake.sh writes. Nothing: the console does not tell
/// (yet).
std::optional<bool> baked(std::string_view console);

/// The last lines of a console, without control characters.
std::vector<std::string> last_lines(std::string_view console, std::size_t most);

struct ImageLimits {
  Millis poll{5'000};           // between two looks
  Millis call{60'000};          // each call, with its attempts
  Millis appear{120'000};       // until EC2 shows what it has just launched
  Millis build{3'600'000};      // from a builder's launch to its end; it ends itself before
  Millis console{900'000};      // until EC2 shows the console of what has stopped
  Millis image{2 * 3'600'000};  // until an image is there
};

struct ImageTask {
  BuilderRequest builder;   // without its token
  std::string image_name;   // of letters, digits and ()[] ./-'@_; the same for the same recipe
  std::string description;  // of the image
  ImageHolder holder;
  ImageLimits limits{};
};

/// Returns the id of the image with the task's recipe, made now or before; no builder of it is left then. say: one line
/// for each thing that happens. token: makes one for each launch. Errors: transient "held"; invalid "build_failed",
/// whose console's end was told, after the builder was ended; transient "timeout"; cancelled "cancelled"; the calls'
/// own.
Result<std::string> make_image(ImageService& service, const ImageTask& task,
                               const std::function<void(const std::string& line)>& say,
                               const std::function<std::string()>& token, Clock& clock, std::stop_token stop);

/// Deregisters the fleet's images but `current` and the newest beside it, `kept` in all, and deletes the snapshots that
/// belong to none any more. Images that are being made are left alone. current: may be empty.
Result<void> prune_images(ImageService& service, const std::string& current, std::size_t kept,
                          const std::function<void(const std::string& line)>& say, const CallLimits& limits);

}  // namespace imgrec::aws
