#include "aws/deploy/machine_image.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr std::string_view kBakeLine = "imgrec-bake: ";
constexpr std::size_t kLinesShown = 40;  // of a console
constexpr int kLaunchesMax = 2;          // of one run: more than that is somebody who ends them

bool is_being_made(const MachineImage& image) {
  return image.state == "pending" || image.state == "transient";
}

bool is_left_over(const Builder& builder, const ImageHolder& holder) {
  if (holder.take_over) return true;
  const auto owner = parse_holder(builder.holder);
  return owner && owner->host == holder.self.host &&
         (owner->process == holder.self.process || !holder.is_running(owner->process));
}

class ImageWork {
 public:
  ImageWork(ImageService& service, const ImageTask& task, const std::function<void(const std::string& line)>& say,
            const std::function<std::string()>& token, Clock& clock, std::stop_token stop)
      : service_(service), task_(task), say_(say), token_(token), clock_(clock), stop_(std::move(stop)) {}

  Result<std::string> run() {
    const Deadline end = Deadline::in(clock_, task_.limits.build + task_.limits.console + task_.limits.image);
    while (end.left(clock_) > Millis(0)) {
      const auto next = look();
      if (!next) return fail(next.error());
      if (next->step == ImageStep::use) return use(*next->image);
      const auto waits = act(*next);
      if (!waits) return fail(waits.error());
      if (*waits && !clock_.sleep_for(task_.limits.poll, stop_)) {
        return fail(ErrorKind::cancelled, "cancelled", interrupted(*next));
      }
    }
    return fail(ErrorKind::transient, "timeout", "EC2 does not finish the image: the same command again follows it.");
  }

 private:
  CallLimits limits() const { return {Deadline::in(clock_, task_.limits.call), stop_}; }
  const std::string& recipe() const { return task_.builder.recipe; }

  Result<NextImageStep> look() {
    const auto images = service_.images(limits());
    if (!images) return fail(images.error());
    const auto builders = service_.builders(limits());
    if (!builders) return fail(builders.error());
    for (const Builder& one : *builders) {
      if (one.id == launched_) launched_seen_ = true;
    }
    return next_image_step(*images, *builders, recipe(), task_.holder);
  }

  // Of what costs money and nobody waits for any more.
  std::string interrupted(const NextImageStep& next) const {
    const std::string builder = next.builder ? next.builder->id.str() : launched_.str();
    if (builder.empty()) return "Interrupted: the same command again goes on.";
    return "Interrupted. The builder " + builder +
           " stops by itself when it is done, and costs money until the same command again goes on with it, or `imgrec "
           "undeploy` ends it.";
  }

  // Nobody pays for a builder any longer than needed.
  Result<std::string> use(const MachineImage& image) {
    const auto builders = service_.builders(limits());
    if (!builders) return fail(builders.error());
    for (const Builder& one : *builders) {
      if (is_over(one) || (one.recipe != recipe() && !is_left_over(one, task_.holder))) continue;
      if (auto ended = end(one); !ended) return fail(ended.error());
    }
    return image.id;
  }

  // Returns whether to wait before the next look.
  Result<bool> act(const NextImageStep& next) {
    switch (next.step) {
      case ImageStep::use: return false;
      case ImageStep::follow_image: tell("EC2 makes the image " + next.image->id + "."); return true;
      case ImageStep::remove_image:
        say_("The image " + next.image->id + " is " + next.image->state + ": removing it. " + next.image->reason);
        if (auto removed = service_.deregister(next.image->id, limits()); !removed) return fail(removed.error());
        return true;
      case ImageStep::follow_builder: return follow(*next.builder);
      case ImageStep::read_builder: return read(*next.builder);
      case ImageStep::end_builder:
        say_("Ending a builder that was left over: " + next.builder->id.str());
        if (auto ended = end(*next.builder); !ended) return fail(ended.error());
        return true;
      case ImageStep::held:
        return fail(ErrorKind::transient, "held",
                    "\"" + next.builder->holder + "\" makes an image of another bundle (" + next.builder->id.str() +
                        "): wait until that has ended, or end its builder with --take-over.");
      case ImageStep::launch: return launch();
    }
    return false;
  }

  Result<bool> launch() {
    // EC2 shows what it has launched a little later.
    if (launches_ > 0 && !launched_seen_ && appear_.left(clock_) > Millis(0)) return true;
    if (++launches_ > kLaunchesMax) {
      return fail(ErrorKind::transient, "builder_gone", "Somebody ends the builders before they are ready.");
    }
    BuilderRequest request = task_.builder;
    request.token = token_();
    request.holder = describe_holder(task_.holder.self);
    const auto id = service_.launch(request, limits());
    if (!id) return fail(id.error());
    launched_ = *id;
    launched_seen_ = false;
    appear_ = Deadline::in(clock_, task_.limits.appear);
    say_("Launched the builder " + id->str() + " (" + request.instance_type + " from " + request.base_image +
         "): it installs the bundle and stops.");
    return true;
  }

  Result<bool> follow(const Builder& builder) {
    tell("The builder " + builder.id.str() + " is " + builder.state + ".");
    if (!building_) building_ = Deadline::in(clock_, task_.limits.build);
    if (building_->left(clock_) > Millis(0)) return true;
    return failed(builder, "it did not stop in time");
  }

  Result<bool> read(const Builder& builder) {
    const auto console = service_.console(builder.id, limits());
    if (!console) return fail(console.error());
    const auto ready = baked(*console);
    if (!ready) {
      tell("The builder " + builder.id.str() + " has stopped: waiting for EC2 to show its console.");
      if (!reading_) reading_ = Deadline::in(clock_, task_.limits.console);
      if (reading_->left(clock_) > Millis(0)) return true;
      return failed(builder, "its console does not say how the installation ended");
    }
    if (!*ready) return failed(builder, "the installation failed");
    const auto made = service_.create_image(
        {.builder = builder.id, .name = task_.image_name, .description = task_.description, .recipe = recipe()},
        limits());
    // Of two that do this at once, one makes it.
    if (!made && made.error().code != "image_exists") return fail(made.error());
    if (made) say_("The bundle is installed: making the image " + task_.image_name + ".");
    return true;
  }

  // Told with the end of the console. The builder is ended also when that cannot be read.
  std::unexpected<Error> failed(const Builder& builder, const std::string& why) {
    const auto console = service_.console(builder.id, limits());
    if (console && !console->empty()) {
      say_("The end of the console of " + builder.id.str() + ":");
      for (const std::string& line : last_lines(*console, kLinesShown)) say_("  " + line);
    } else {
      say_("EC2 has no console of " + builder.id.str() + (console ? "." : ": " + console.error().message));
    }
    if (auto ended = end(builder); !ended) return fail(ended.error());
    return fail(ErrorKind::invalid, "build_failed",
                "The image could not be made: of the builder " + builder.id.str() + ", " + why +
                    (builder.reason.empty() ? "" : " (" + builder.reason + ")") + ". It was ended.");
  }

  // The stop does not hold here: what was launched is not left running.
  Result<void> end(const Builder& builder) {
    return service_.terminate({&builder.id, 1}, Deadline::in(clock_, task_.limits.call));
  }

  void tell(const std::string& line) {
    if (std::exchange(told_, line) != line) say_(line);
  }

  ImageService& service_;
  const ImageTask& task_;
  const std::function<void(const std::string& line)>& say_;
  const std::function<std::string()>& token_;
  Clock& clock_;
  const std::stop_token stop_;
  InstanceId launched_;
  bool launched_seen_ = false;
  int launches_ = 0;
  Deadline appear_ = Deadline::never();
  std::optional<Deadline> building_, reading_;
  std::string told_;  // last, of what may be the same at the next look
};

}  // namespace

bool is_over(const Builder& builder) {
  return builder.state == "terminated" || builder.state == "shutting-down";
}

NextImageStep next_image_step(std::span<const MachineImage> images, std::span<const Builder> builders,
                              const std::string& recipe, const ImageHolder& holder) {
  const MachineImage* wanted = nullptr;
  for (const MachineImage& one : images) {
    if (one.recipe != recipe) continue;
    if (wanted == nullptr || (wanted->state != "available" && one.state == "available")) wanted = &one;
  }
  if (wanted != nullptr) {
    const ImageStep step = wanted->state == "available" ? ImageStep::use
                           : is_being_made(*wanted)     ? ImageStep::follow_image
                                                        : ImageStep::remove_image;
    return {.step = step, .image = *wanted, .builder = {}};
  }
  const Builder* own = nullptr;
  for (const Builder& one : builders) {
    if (is_over(one)) continue;
    if (one.recipe != recipe) {
      return {
          .step = is_left_over(one, holder) ? ImageStep::end_builder : ImageStep::held, .image = {}, .builder = one};
    }
    if (own == nullptr) {
      own = &one;
      continue;
    }
    // Of two, whoever looks ends the same one.
    const bool is_later = std::pair(one.launched_at, one.id.str()) > std::pair(own->launched_at, own->id.str());
    return {.step = ImageStep::end_builder, .image = {}, .builder = is_later ? one : *own};
  }
  if (own == nullptr) return {.step = ImageStep::launch, .image = {}, .builder = {}};
  return {.step = own->state == "stopped" ? ImageStep::read_builder : ImageStep::follow_builder,
          .image = {},
          .builder = *own};
}

std::optional<bool> baked(std::string_view console) {
  const auto at = console.rfind(kBakeLine);
  if (at == console.npos) return std::nullopt;
  return console.substr(at + kBakeLine.size()).starts_with("ready");
}

std::vector<std::string> last_lines(std::string_view console, std::size_t most) {
  std::vector<std::string> out;
  for (const std::string_view line : split(console, '\n')) {
    std::string clean;
    for (const char c : line) {
      if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) clean += c;
    }
    if (!clean.empty()) out.push_back(std::move(clean));
  }
  if (out.size() > most) out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most));
  return out;
}

Result<std::string> make_image(ImageService& service, const ImageTask& task,
                               const std::function<void(const std::string& line)>& say,
                               const std::function<std::string()>& token, Clock& clock, std::stop_token stop) {
  return ImageWork(service, task, say, token, clock, std::move(stop)).run();
}

Result<void> prune_images(ImageService& service, const std::string& current, std::size_t kept,
                          const std::function<void(const std::string& line)>& say, const CallLimits& limits) {
  auto images = service.images(limits);
  if (!images) return fail(images.error());
  const bool any_being_made = std::ranges::any_of(*images, is_being_made);
  std::erase_if(*images, is_being_made);
  std::ranges::sort(*images, [&](const MachineImage& a, const MachineImage& b) {
    return std::tuple(a.id == current, a.state == "available", a.created_at) >
           std::tuple(b.id == current, b.state == "available", b.created_at);
  });
  std::set<std::string> used;
  for (std::size_t i = 0; i < images->size(); ++i) {
    const MachineImage& image = (*images)[i];
    if (i < kept) {
      used.insert(image.snapshots.begin(), image.snapshots.end());
      continue;
    }
    say("Removing the image " + image.id + " of " + image.created_at + ".");
    if (auto removed = service.deregister(image.id, limits); !removed) return removed;
  }
  // Those of an image that is being made are not told with it yet.
  if (any_being_made) return {};
  const auto snapshots = service.snapshots(limits);
  if (!snapshots) return fail(snapshots.error());
  for (const std::string& one : *snapshots) {
    if (used.contains(one)) continue;
    say("Deleting the snapshot " + one + ".");
    if (auto deleted = service.delete_snapshot(one, limits); !deleted) return deleted;
  }
  return {};
}

}  // namespace imgrec::aws
