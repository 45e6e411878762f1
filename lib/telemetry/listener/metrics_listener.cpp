#include "lib/telemetry/listener/metrics_listener.hpp"

#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr int kConnectionsMax = 32;
constexpr std::uint64_t kBodyBytesMax = kKiB;  // nobody has to send one
constexpr std::size_t kDecisionsShown = 100;

Response answer(const Request& request, Metrics& metrics, const DecisionHistory* decisions) {
  if (request.method != "GET" && request.method != "HEAD") {
    return {.status = 405, .headers = {{"Allow", "GET, HEAD"}}, .body = "Only GET is served here.\n"};
  }
  if (request.path == "/metrics") return {.content_type = std::string(kMetricsContentType), .body = metrics.scrape()};
  if (request.path == "/healthz") return {.body = "ok\n"};
  if (request.path == "/decisions" && decisions != nullptr) {
    return {.content_type = "application/json", .body = decisions->to_json(kDecisionsShown)};
  }
  return {.status = 404, .body = "There is /metrics, /healthz and, where there is a controller, /decisions.\n"};
}

}  // namespace

Result<MetricsListener> start_metrics_listener(const MetricsListenerOptions& options, Metrics& metrics,
                                               const DecisionHistory* decisions) {
  ServerOptions server_options;
  server_options.bind = options.bind;
  server_options.port = options.port;
  server_options.connections_max = kConnectionsMax;
  server_options.body_bytes_max = kBodyBytesMax;
  auto server = std::make_unique<Server>(server_options, [&metrics, decisions](Request request, Responder responder) {
    responder.send(answer(request, metrics, decisions));
  });
  const auto port = server->start();
  if (!port) {
    std::string message = port.error().message;
    if (const auto flag = message.find("--port"); flag != message.npos) message.replace(flag, 6, "--metrics-port");
    return fail(port.error().kind, port.error().code, "The metrics cannot be served. " + message);
  }
  log::info("metrics listening", {{"bind", options.bind}, {"port", *port}});
  return MetricsListener{.server = std::move(server), .port = *port};
}

}  // namespace imgrec
