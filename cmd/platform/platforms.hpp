// The platforms themselves. For cmd/platform/platform.cpp, and for commands that exist on one of them alone.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "aws/adapters/ec2_fleet.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "aws/client/session.hpp"
#include "cmd/platform/platform.hpp"

namespace imgrec {

Result<Platform> make_local_platform(const Config& config, Clock& clock, Rng& rng);
Result<Platform> make_aws_platform(const Config& config, Clock& clock, Rng& rng, const PlatformNeeds& needs);

/// The queue of signals; null when there is none, or when it cannot be opened: then the log says so, and the service
/// works without.
std::shared_ptr<MessageQueue> open_signals(QueueDirectory& queues, const Config& config, const CallLimits& limits = {});

/// The session of this process's environment and of [aws]. No call is made. Errors: as aws::open_session().
Result<std::unique_ptr<aws::Session>> open_aws_session(const Config& config, Clock& clock, Rng& rng);

/// What names the region where aws.region does not: "env AWS_REGION", "env AWS_DEFAULT_REGION", "profile NAME".
/// Nothing: the default is taken.
std::optional<std::string> region_source(const Config& config);

/// aws.tags, of what is made.
std::map<std::string, std::string> tags_of(const AwsConfig& aws);

/// What [aws] says about instances, with the user-data that they get. Errors: as worker_user_data().
Result<aws::Ec2FleetOptions> ec2_fleet_options(const Config& config, const aws::EndpointSettings& endpoints);

/// The buckets, with what they default to. Errors: invalid "no_bucket".
struct AwsBuckets {
  std::string input, output, bundle;
};
Result<AwsBuckets> aws_buckets(const AwsConfig& aws);

/// The queues that this service has, and how they are to be.
aws::SqsRules sqs_rules(const Config& config);

/// What [aws] says of all stores; the caller adds the bucket.
aws::S3StoreOptions store_options(const AwsConfig& aws);

}  // namespace imgrec
