// Receives requests, classifies, stores and answers; a request is deleted last, so a crash anywhere means redelivery.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/classifier.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_reader.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

/// The steps of process_job in order; tests stop or kill the process at each.
enum class JobStep { received, parsed, fetched, classified, stored, answered, removed };

struct WorkerPorts {
  MessageQueue& requests;
  QueueDirectory& replies;     // opens a request's reply_to
  MessageQueue& dead_letters;  // gets poison: what was received more than receives_max times
  ObjectStore& inputs;
  ObjectStore& outputs;
  std::shared_ptr<ObjectReader> objects = {};  // that requests refer to; null: none can be read
  ClassifierFactory make_classifier;
  Clock& clock;
  Rng& rng;
  Metrics& metrics;
  std::function<void()> on_ready = [] {};  // called once, when the first message can be worked on
  /// Called whenever the number of messages held changes, with it and with how many of them ended since the call
  /// before. Must be quick: a lock is held.
  std::function<void(int held, int ended)> on_holding = [](int, int) {};
  std::function<void()> on_drain = [] {};  // called once, when it takes nothing new
  std::function<void(JobStep)> on_step = [](JobStep) {};
};

struct WorkerSettings {
  WorkerConfig worker;
  QueueConfig queue;
  ImageConfig image;
  ResultsConfig results;
  std::string version;  // of imgrec, for what this worker says of itself
};

/// Runs until a stop is requested (then drains: finishes what it works on, returns the rest to the queue) or until it
/// has been idle for exit_when_idle, or, as a fleet's worker, has been idle for orphan_timeout while no controller led.
/// A fleet's worker that has nothing to do also takes a request to stop (shutdown.hpp): it confirms that, and waits for
/// its end. When the classifiers cannot be made it says so in the result store (start_report.hpp) and returns that
/// error; a worker that is ready removes what another one said there. Other errors: bad settings; the queue stays out
/// of reach at the start; the engine fails on every image.
Result<void> run_worker(const WorkerSettings& settings, WorkerPorts ports, std::stop_token stop);

}  // namespace imgrec
