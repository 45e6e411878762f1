// Where queues, stores and instances are: the only place that knows which platform it is.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/config/load.hpp"
#include "lib/local/janitor.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_reader.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// The ports that roles are given. Everything closes with it.
struct Platform {
  std::shared_ptr<void> connection;  // what the ports share, where there is such a thing; it closes last
  std::unique_ptr<QueueDirectory> queues;
  std::shared_ptr<MessageQueue> requests, dead_letters;
  std::shared_ptr<MessageQueue> signals;         // null: there are none, or the queue is not there
  std::shared_ptr<ObjectStore> inputs, outputs;  // may be one and the same
  std::shared_ptr<ObjectReader> objects;         // reads those that requests refer to, in buckets of others
  std::string input_bucket;                      // what requests call the store of inputs
  std::string place;                             // for people: "images in the bucket photos"
  /// Empty where queues and stores have rules of their own for what is old: then nothing of theirs is ours to delete.
  RemoveUnread remove_unread;
  /// Where the workers of make_fleet keep their metrics as files. Empty where workers are other machines.
  std::filesystem::path worker_metrics_dir;
  /// Called where instances are wanted: the controller alone.
  std::function<Result<std::unique_ptr<Fleet>>()> make_fleet;
  /// For people: a command that ends the instances of make_fleet, which go on running when this process ends. Empty
  /// where they end with it.
  std::string how_to_end_instances;
  /// Tells this service's instances from those of others; empty where there is but one service.
  std::string fleet_name;
  /// Makes this process known as the controller of that name; what it returns tells whether the process of another name
  /// has ended for sure. Empty where controllers are on several machines, and nobody can know.
  std::function<Result<std::function<bool(const std::string& name)>>(const std::string& name)> enter_as_controller;
  /// Blocks until this machine is about to be taken away (on_notice says how, once) or a stop is requested. Empty where
  /// that does not happen.
  std::function<void(const std::function<void(const std::string& action)>& on_notice, std::stop_token stop)>
      watch_for_notice;
};

/// What a role asks of its platform: what it does not use needs no rights.
struct PlatformNeeds {
  bool make_stores = true;  // else the stores are neither made nor looked at before they are first used
  std::stop_token stop{};   // ends the opening: the ports take their own
};

/// The one of both that belongs to the platform of this Config: for commands that have two ways to do their work.
template <class T>
const T& for_platform(const Config& config, const T& local, const T& aws) {
  return config.platform == "aws" ? aws : local;
}

/// Errors: invalid "no_such_platform"; else as of the ports opened.
Result<Platform> make_platform(const Config& config, Clock& clock, Rng& rng, const PlatformNeeds& needs = {});

/// Defaults that only one platform has: on AWS a look at the queue costs money and a machine takes a minute to start.
struct PlatformDefault {
  std::string_view key, value;
};
std::span<const PlatformDefault> platform_defaults(std::string_view platform);

/// Sets them where neither file nor environment nor flag did.
void apply_platform_defaults(LoadedConfig& loaded);

/// What the workers of a fleet are told beside the settings of their own: those of the policy `warm` end by themselves
/// when there is nothing to do, but for the first; and where no controller keeps a lease, or a group would replace it,
/// no worker ends as an orphan.
void set_up_fleet_worker(Config& worker);

/// The folder in which child workers keep their metrics.
std::filesystem::path worker_metrics_dir(const Config& config);

/// Everything a child worker needs to run with this Config, as environment variables, and what makes it quick:
/// GLIBC_TUNABLES, unless this process has that set.
std::vector<std::pair<std::string, std::string>> worker_environment(const Config& config);

}  // namespace imgrec
