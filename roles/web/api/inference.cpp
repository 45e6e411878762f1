#include "roles/web/api/inference.hpp"

#include <utility>

#include "roles/web/api/answers.hpp"
#include "roles/web/compat/inference_protocol.hpp"

namespace imgrec {

Result<void> check_model(const Route& route, const Request& request, const std::string& model) {
  const std::string_view wanted = route.parameter("model", request.path);
  const std::string_view version = route.parameter("version", request.path);
  if ((wanted.empty() || wanted == model) && (version.empty() || version == kModelVersion)) return {};
  return fail(ErrorKind::not_found, "unknown_model",
              "There is no model " + std::string(wanted) + (version.empty() ? "" : " of version ") +
                  std::string(version) + ": this service has " + model + ", version " + std::string(kModelVersion) +
                  ".");
}

void answer_inference_metadata(Exchange exchange, const WebSettings& settings, Readiness& readiness) {
  if (auto checked = check_model(exchange.route, exchange.request, settings.model); !checked) {
    return exchange.send_error(checked.error());
  }
  switch (exchange.route.endpoint) {
    case Endpoint::v2_server: return exchange.send(json_response(server_metadata(settings.version)));
    case Endpoint::v2_model: return exchange.send(json_response(model_metadata(settings.model)));
    case Endpoint::v2_live: return exchange.send(json_response("{\"live\":true}"));
    default: break;
  }
  readiness.ask([held = std::move(exchange)](const std::optional<Error>& problem) mutable {
    if (problem) return held.send_error(*problem);
    held.send(json_response("{\"ready\":true}"));
  });
}

}  // namespace imgrec
