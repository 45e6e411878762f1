// A small HTTP listener beside a role's work, for whoever watches it:
//   GET /metrics    Prometheus' text format
//   GET /healthz    "ok" as long as the process answers
//   GET /decisions  the controller's latest decisions as JSON, newest first (only where there is a controller)
//
// It has a thread of its own, few connections and no bodies. Nothing here is secret, but it is for those who run the
// service: listen on loopback, or where only they can reach it.
#pragma once

#include <memory>
#include <string>

#include "lib/base/result.hpp"
#include "lib/http/server/server.hpp"
#include "lib/telemetry/decision_history.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

struct MetricsListenerOptions {
  std::string bind = "127.0.0.1";
  int port = 0;  // 0: any free one; the log says which
};

struct MetricsListener {
  std::unique_ptr<Server> server;  // null: none was asked for
  int port = 0;
};

/// Serves until it is destroyed; metrics and decisions (may be null) have to live longer. Errors: as Server::start().
Result<MetricsListener> start_metrics_listener(const MetricsListenerOptions& options, Metrics& metrics,
                                               const DecisionHistory* decisions);

}  // namespace imgrec
