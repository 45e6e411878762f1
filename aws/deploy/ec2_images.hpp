// The port to machine images, on ec2Query.
#pragma once

#include <map>
#include <string>

#include "aws/client/session.hpp"
#include "aws/deploy/image_service.hpp"

namespace imgrec::aws {

class Ec2Images final : public ImageService {
 public:
  /// tags: of what is made, besides those that say whose it is.
  Ec2Images(Session& session, std::string fleet, std::map<std::string, std::string> tags)
      : session_(session), fleet_(std::move(fleet)), tags_(std::move(tags)) {}

  Result<std::vector<MachineImage>> images(const CallLimits& limits) override;
  Result<std::vector<Builder>> builders(const CallLimits& limits) override;
  Result<InstanceId> launch(const BuilderRequest& request, const CallLimits& limits) override;
  Result<std::string> console(const InstanceId& id, const CallLimits& limits) override;
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) override;
  Result<void> create_image(const ImageRequest& request, const CallLimits& limits) override;
  Result<void> deregister(const std::string& image, const CallLimits& limits) override;
  Result<std::vector<std::string>> snapshots(const CallLimits& limits) override;
  Result<void> delete_snapshot(const std::string& snapshot, const CallLimits& limits) override;

 private:
  // The tags of what is made, of the recipe.
  std::map<std::string, std::string> tags_of(const std::string& recipe) const;

  Session& session_;
  const std::string fleet_;
  const std::map<std::string, std::string> tags_;
};

}  // namespace imgrec::aws
