// imgrec deploy --prebaked: the image of the workers' machine, before the stack is pointed at it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/deploy/cloud_formation.hpp"
#include "aws/deploy/machine_image.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// How many images stay: the one in use, and the one before it.
inline constexpr std::size_t kImagesKept = 2;

/// What is to be made. stack: it is there, and with it the workers' instance profile and security group. Errors: as
/// builder_user_data() and CloudFormation::resources().
Result<aws::ImageTask> image_task(const Config& config, aws::Session& session, aws::CloudFormation& service,
                                  const aws::Stack& stack, const CallLimits& limits);

/// The id of the image of these settings, where it is there already.
Result<std::optional<std::string>> existing_image(aws::ImageService& images, const Config& config,
                                                  const aws::Session& session, const CallLimits& limits);

/// A line for people for each machine that is there to make an image: who launched it, and what ends it. Its deployer
/// may have gone, and nothing else does.
std::vector<std::string> describe_builders(std::span<const aws::Builder> builders);

/// The port to this fleet's images.
std::unique_ptr<aws::ImageService> open_images(const Config& config, aws::Session& session);

}  // namespace imgrec
