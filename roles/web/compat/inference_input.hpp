// The input of an inference request: for inference_protocol.cpp alone, as it needs simdjson's types.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "roles/web/compat/answer_shape.hpp"

namespace simdjson::dom {
class object;
}

namespace imgrec {

/// The error of a request that is not as the protocol says: invalid "bad_inference_request".
std::unexpected<Error> bad_inference_request(std::string what);

/// The images of `inputs`. `body` holds `binary`, what follows the JSON. Errors: those of take_inference().
Result<ShapedRequest> read_inference_input(const simdjson::dom::object& request,
                                           const std::shared_ptr<const std::string>& body, std::string_view binary,
                                           int images_max);

}  // namespace imgrec
