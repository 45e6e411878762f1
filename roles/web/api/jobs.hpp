// GET /v1/jobs/{id}: what became of an image.
#pragma once

#include <optional>
#include <stop_token>
#include <utility>

#include "roles/web/api/exchange.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/api/context.hpp"

namespace imgrec {

/// Thread-safe.
class JobHandler {
 public:
  /// abort: requested, calls under way end.
  JobHandler(const WebSettings& settings, WebPorts& ports, ResultRouter& router, std::stop_token abort)
      : settings_(settings), ports_(ports), router_(router), abort_(std::move(abort)) {}

  /// Blocks for two calls of the stores.
  void handle(Exchange exchange);

 private:
  void await(const JobId& job, Millis wait, Exchange exchange);
  Result<std::optional<JobResult>> stored_result(const JobId& job);
  bool is_overdue(const JobId& job) const;
  CallLimits limits() const;

  const WebSettings& settings_;
  WebPorts& ports_;
  ResultRouter& router_;
  const std::stop_token abort_;
};

}  // namespace imgrec
