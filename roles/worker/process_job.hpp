// One message's way through a worker, up to the stored result. The image's path through the system: roles/web/upload →
// lib/job → here → inference → roles/web/result_router.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <variant>

#include "roles/worker/classifier_pool.hpp"
#include "roles/worker/retrier.hpp"
#include "roles/worker/worker.hpp"
#include "roles/worker/worker_metrics.hpp"

namespace imgrec {

struct HeldMessage {
  Message message;
  MonoTime received_at{};
  WallTime received_wall{};
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
  StageTimings timings;
  MonoTime answered_at{};
};

/// The message goes back to the queue.
struct Return {
  HeldMessage held;
  JobId job;  // empty when not known
  Millis delay{0};
};

struct JobContext {
  const WorkerSettings& settings;
  const WorkerPorts& ports;
  ClassifierPool& classifiers;
  Retrier& reading;  // apart, so that reads that work do not hide a store that is full
  Retrier& storing;
  WorkerId worker;
  std::stop_token abandon;                      // give up what is being worked on
  std::function<void()> on_classified = [] {};  // called when the job holds neither a classifier nor an image any more
};

/// How long a message stays hidden that could not be finished: 1 s, doubled with each delivery up to 32 s, so that what
/// passes by itself has passed before the message counts as poison.
Millis return_delay(int receive_count);

/// received → parsed → (poison? delivered before, and its result there already?) → fetched → classified → stored. Never
/// throws (a classifier that does counts as a bug: the message is returned, and becomes poison when that does not fix
/// it).
std::variant<Answer, Return> process_job(const JobContext& context, HeldMessage held);

}  // namespace imgrec
