// The Open Inference Protocol, version 2, over HTTP, as KServe and Triton speak it: metadata and inference, with
// Triton's extensions for binary tensors and for classification.
// https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
//
// A model has one input, of either name: "image" (BYTES: encoded images; in JSON as base64) or "tensor" (FP32,
// [N, 3, H, W], scaled as the network wants it). Its outputs have a row of K best labels for each image.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "roles/web/compat/answer_shape.hpp"

namespace imgrec {

inline constexpr std::string_view kModelVersion = "1";

struct InferenceLimits {
  int images_max = 100;
  int top_k = 5;  // when the client does not say
};

/// {"error": …}
std::shared_ptr<const AnswerShape> inference_shape();

/// Takes the body out of the request. Errors: invalid "bad_json", "bad_inference_request" (a tensor is missing or not
/// of its shape, an unknown output), "bad_base64", "bad_tensor", "too_many_images".
Result<ShapedRequest> take_inference(Request& request, const std::string& model, const InferenceLimits& limits);

/// GET /v2 and GET /v2/models/MODEL.
std::string server_metadata(std::string_view version);
std::string model_metadata(std::string_view model);

}  // namespace imgrec
