// Where queues, stores and instances are: the only place that knows which platform it is.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// The ports that roles are given. Everything closes with it.
struct Platform {
  std::unique_ptr<QueueDirectory> queues;
  std::shared_ptr<MessageQueue> requests, dead_letters;
  std::shared_ptr<ObjectStore> inputs, outputs;  // may be one and the same
  std::string input_bucket;                      // what requests call the store of inputs
  /// Called where instances are wanted: the controller alone.
  std::function<Result<std::unique_ptr<Fleet>>()> make_fleet;
};

/// Errors: invalid "no_such_platform"; else as of the ports opened.
Result<Platform> make_platform(const Config& config, Clock& clock, Rng& rng);

/// The response queue of this web node: PREFIX-NODE.
std::string response_queue_name(const Config& config);

/// Everything a child worker needs to run with this Config, as environment variables.
std::vector<std::pair<std::string, std::string>> worker_environment(const Config& config);

}  // namespace imgrec
