// The web role on a platform: shared by `imgrec web` and `imgrec local`.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cmd/files/lock.hpp"
#include "cmd/platform/platform.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

struct WebRun {
  Clock& clock;
  Rng& rng;
  Metrics& metrics;
  std::function<void(int port)> on_listening;
  std::stop_token stop;
};

/// Serves until a stop is requested, then drains. Warns where it listens for other machines without keys or TLS.
Result<void> serve_web(const Config& config, const Platform& platform, const WebRun& run);

/// One web node of a name at a time: two would take each other's answers from their response queue.
Result<FileLock> lock_web_node(const Config& config);

/// By which names a service that listens on loopback is called: those set (web.hosts, web.public_url), and this
/// machine's. Nothing: any name, as it listens for others too or web.hosts is "*".
std::optional<std::vector<std::string>> known_hosts(const WebConfig& web);

/// "http://127.0.0.1:8000/"; https with TLS.
std::string web_address(const Config& config, int port);

}  // namespace imgrec
