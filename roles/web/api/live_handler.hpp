// GET /v1/status, /v1/fleet, /v1/timeseries and /v1/events.
#pragma once

#include "roles/web/api/exchange.hpp"
#include "roles/web/live/live.hpp"

namespace imgrec {

/// Thread-safe.
class LiveHandler {
 public:
  explicit LiveHandler(Live& live) : live_(live) {}

  /// The documents. Blocks while the store is read.
  void handle(Exchange exchange);
  /// Never blocks.
  void stream(Exchange exchange);

 private:
  void timeseries(Exchange exchange);

  Live& live_;
};

}  // namespace imgrec
