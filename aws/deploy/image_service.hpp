// The port to what EC2 does with machine images: those of one fleet, known by a tag, and the machines that they are
// made of.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

/// The fleet whose images, snapshots and builders these are. Another tag than that of the fleet's workers: a builder is
/// none of them.
inline constexpr std::string_view kImageOfTag = "imgrec:image-of";
inline constexpr std::string_view kRecipeTag = "imgrec:recipe";  // what an image is made by: the same gives the same
inline constexpr std::string_view kHolderTag = "imgrec:holder";  // whose process launched a builder

struct MachineImage {
  std::string id;          // "ami-0123456789abcdef0"
  std::string state;       // pending, available, failed, …
  std::string reason;      // EC2's words for the state; often empty
  std::string recipe;      // of its tag
  std::string created_at;  // RFC 3339
  std::vector<std::string> snapshots;
};

/// The machine of which an image is made.
struct Builder {
  InstanceId id;
  std::string state;   // pending, running, stopping, stopped, shutting-down, terminated
  std::string reason;  // EC2's words for the state; often empty
  std::string recipe;  // of its tags
  std::string holder;
  WallTime launched_at{};
};

struct BuilderRequest {
  std::string base_image;
  std::string instance_type;
  std::string subnet;                        // empty: the default VPC's
  std::vector<std::string> security_groups;  // empty: the VPC's default
  std::string instance_profile;              // its role may read the bundle
  std::string user_data;                     // cloud-init's text
  std::string recipe;
  std::string holder;
  std::string token;  // of this launch: another attempt launches nothing more
};

struct ImageRequest {
  InstanceId builder;
  std::string name;  // unique in the account
  std::string description;
  std::string recipe;
};

class ImageService {
 public:
  virtual ~ImageService() = default;

  /// In any order; not those that were deregistered.
  virtual Result<std::vector<MachineImage>> images(const CallLimits& limits) = 0;
  /// Those that ended lately among them.
  virtual Result<std::vector<Builder>> builders(const CallLimits& limits) = 0;
  virtual Result<InstanceId> launch(const BuilderRequest& request, const CallLimits& limits) = 0;
  /// What EC2 has of its console; may be empty.
  virtual Result<std::string> console(const InstanceId& id, const CallLimits& limits) = 0;
  /// Ids that are gone succeed.
  virtual Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) = 0;
  /// Errors: invalid "image_exists" when one has that name already.
  virtual Result<void> create_image(const ImageRequest& request, const CallLimits& limits) = 0;
  /// One that is gone succeeds, as with a snapshot.
  virtual Result<void> deregister(const std::string& image, const CallLimits& limits) = 0;
  virtual Result<std::vector<std::string>> snapshots(const CallLimits& limits) = 0;
  virtual Result<void> delete_snapshot(const std::string& snapshot, const CallLimits& limits) = 0;
};

}  // namespace imgrec::aws
