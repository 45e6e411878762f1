// GET /v1/jobs/{id}: what became of an image.
#pragma once

#include <optional>

#include "roles/web/exchange.hpp"
#include "roles/web/result_router.hpp"
#include "roles/web/web.hpp"

namespace imgrec {

/// Thread-safe.
class JobHandler {
 public:
  JobHandler(const WebSettings& settings, WebPorts& ports, ResultRouter& router)
      : settings_(settings), ports_(ports), router_(router) {}

  /// Blocks for two calls of the stores.
  void handle(Exchange exchange);

 private:
  void await(const JobId& job, Millis wait, Exchange exchange);
  Result<std::optional<JobResult>> stored_result(const JobId& job);
  bool is_overdue(const JobId& job) const;

  const WebSettings& settings_;
  WebPorts& ports_;
  ResultRouter& router_;
};

}  // namespace imgrec
