// GET /v1/jobs, GET and DELETE /v1/jobs/{job}: what became of images, and the end of those that nobody wants any more.
#pragma once

#include <optional>
#include <utility>

#include "roles/web/api/context.hpp"
#include "roles/web/api/exchange.hpp"
#include "roles/web/jobs/jobs.hpp"
#include "roles/web/results/result_router.hpp"

namespace imgrec {

/// Thread-safe. Every call blocks for some calls of the stores, and now and then one of the queue.
class JobHandler {
 public:
  JobHandler(const WebSettings& settings, WebPorts& ports, ResultRouter& router, Jobs& jobs)
      : settings_(settings), ports_(ports), router_(router), jobs_(jobs) {}

  void get(Exchange exchange);
  void cancel(Exchange exchange);
  void list(Exchange exchange);

 private:
  /// The job that the path names, found for this client. Nothing: the exchange is answered.
  struct Named {
    JobId job;
    JobLookup::Found found;
  };
  std::optional<Named> find(Exchange& exchange);
  void await(const JobId& job, Millis wait, Exchange exchange);
  Response pending(const JobId& job);
  bool is_overdue(const JobId& job) const;

  const WebSettings& settings_;
  WebPorts& ports_;
  ResultRouter& router_;
  Jobs& jobs_;
};

}  // namespace imgrec
