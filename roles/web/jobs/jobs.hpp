// Jobs as things that a client can list, look up and cancel: the parts, put together for one web node.
#pragma once

#include <stop_token>

#include "roles/web/jobs/dead_letters.hpp"
#include "roles/web/jobs/final_states.hpp"
#include "roles/web/jobs/idempotency.hpp"
#include "roles/web/jobs/job_index.hpp"
#include "roles/web/jobs/job_list.hpp"
#include "roles/web/jobs/job_lookup.hpp"
#include "roles/web/jobs/queue_view.hpp"
#include "roles/web/jobs/workers_view.hpp"

namespace imgrec {

struct Jobs {
  struct Ports {
    ObjectStore& inputs;
    ObjectStore& outputs;
    MessageQueue& requests;
    MessageQueue& dead_letters;
    ResultRouter& router;
    JobIndex& index;
    FinalStates& ends;
    Clock& clock;
    Rng& rng;
    std::stop_token abort{};  // requested: calls under way end
  };
  Jobs(const Ports& ports, const JobListOptions& list_options, const DeadLetters::Options& letter_options)
      : lookup({.inputs = ports.inputs,
                .outputs = ports.outputs,
                .router = ports.router,
                .clock = ports.clock,
                .abort = ports.abort}),
        queue(ports.requests, ports.clock, ports.abort),
        list({.inputs = ports.inputs,
              .outputs = ports.outputs,
              .index = ports.index,
              .lookup = lookup,
              .ends = ports.ends,
              .queue = queue,
              .router = ports.router,
              .clock = ports.clock},
             list_options),
        workers(ports.outputs, ports.clock, ports.abort),
        idempotency({.store = ports.outputs, .clock = ports.clock, .abort = ports.abort}),
        dead_letters({.dead_letters = ports.dead_letters,
                      .requests = ports.requests,
                      .inputs = ports.inputs,
                      .outputs = ports.outputs,
                      .clock = ports.clock,
                      .rng = ports.rng,
                      .abort = ports.abort},
                     letter_options) {}

  JobLookup lookup;
  QueueView queue;
  JobList list;
  WorkersView workers;
  Idempotency idempotency;
  DeadLetters dead_letters;
};

}  // namespace imgrec
