// The web tier: takes images over HTTP, queues them, holds each client until its own answer is there.
#pragma once

#include <stop_token>

#include "lib/base/result.hpp"
#include "roles/web/api/context.hpp"

namespace imgrec {

/// Serves until a stop is requested, then drains. Errors: cannot listen.
Result<void> run_web(const WebSettings& settings, WebPorts ports, std::stop_token stop);

}  // namespace imgrec
