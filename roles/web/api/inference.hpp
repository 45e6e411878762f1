// GET under /v2: health and metadata of the Open Inference Protocol. Inference itself is ClassifyHandler's.
#pragma once

#include "roles/web/api/context.hpp"
#include "roles/web/api/exchange.hpp"
#include "roles/web/api/readiness.hpp"

namespace imgrec {

/// An error "unknown_model" when the path of the request names another model than the service's, or another version
/// than 1; nothing when it names none.
Result<void> check_model(const Route& route, const Request& request, const std::string& model);

/// The endpoints v2_live, v2_ready, v2_server, v2_model and v2_model_ready.
void answer_inference_metadata(Exchange exchange, const WebSettings& settings, Readiness& readiness);

}  // namespace imgrec
