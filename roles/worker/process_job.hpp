// One message's way through a worker, up to the stored result. The image's path through the system: roles/web/upload →
// lib/job → here → inference → roles/web/result_router.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <variant>

#include "roles/worker/classifier_pool.hpp"
#include "roles/worker/dependency.hpp"
#include "roles/worker/engine_check.hpp"
#include "roles/worker/worker.hpp"
#include "roles/worker/worker_metrics.hpp"

namespace imgrec {

struct HeldMessage {
  Message message;
  MonoTime received_at{};
  WallTime received_wall{};
  bool alone = false;  // nothing else is in work in this process: a suspect may be tried
};

/// What is left to do for a message once its result is stored: dead-letter, answer, remove, in this order.
struct Answer {
  HeldMessage held;
  Outcome outcome = Outcome::labelled;
  JobId job;  // empty when unreadable
  SessionId session;
  std::string name;
  std::string reply_to;     // empty: nobody can be answered
  std::string body;         // the result document
  std::string dead_letter;  // empty: none
  std::string label;        // for the log: the first label, or the error's code
  std::string traceparent;  // for the log
  StageTimings timings;
  MonoTime answered_at{};
};

/// The message goes back to the queue.
struct Return {
  HeldMessage held;
  JobId job;  // empty when not known
  Millis delay{0};
};

/// The message was delivered before and has no result, so a worker may have died of it: it is to be worked on again
/// with `alone` set.
struct Suspect {
  HeldMessage held;
};

struct JobContext {
  const WorkerSettings& settings;
  const WorkerPorts& ports;
  ClassifierPool& classifiers;
  Dependency& reading;  // apart, so that reads that work do not hide a store that is full
  Dependency& storing;
  Dependency& objects;  // that requests refer to, in buckets of others
  EngineCheck& engine;
  WorkerMetrics& metrics;
  WorkerId worker;
  std::stop_token abandon;                      // give up what is being worked on
  std::function<void()> on_classified = [] {};  // called when the job holds neither a classifier nor an image any more
  std::function<void(const Error&)> on_engine_lost = [](const Error&) {
  };  // the engine is given up: the worker must end
};

/// How long a message stays hidden that could not be finished: 1 s, doubled with each delivery up to 32 s.
Millis return_delay(int receive_count);

/// received → parsed → (delivered before? its result is answered again, or it is a suspect) → fetched → (a suspect
/// alone? its attempt is counted) → classified → stored. Never throws.
///
/// Who is at fault when there are no labels:
///   the image    it is refused, expired, or was tried attempts_max times alone without a worker surviving it: an error
///                is stored and answered
///   the machine  the engine or a service fails: the message goes back, as often as it takes
///   nobody       the image was removed because its client left: the message is dropped
std::variant<Answer, Return, Suspect> process_job(const JobContext& context, HeldMessage held);

}  // namespace imgrec
