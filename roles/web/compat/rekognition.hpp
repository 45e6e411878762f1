// Amazon Rekognition's DetectLabels, as far as a classifier can answer it: awsJson1.1, errors by its names.
// https://docs.aws.amazon.com/rekognition/latest/APIReference/API_DetectLabels.html
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "roles/web/compat/answer_shape.hpp"

namespace imgrec {

/// True when an SDK of AWS sent this to the service's address: POST / with X-Amz-Target and its content type. A form,
/// which is a reference client's, is none.
bool is_rekognition_call(const Request& request);

/// "DetectLabels" of "RekognitionService.DetectLabels"; empty when it is another service's target.
std::string_view rekognition_operation(const Request& request);

/// Errors by Rekognition's names; labels without limits.
std::shared_ptr<const AnswerShape> rekognition_shape();

/// Takes the body out of the request. Errors: invalid "bad_json"; "bad_parameter" for what is missing, out of its range
/// or not done here (Features other than GENERAL_LABELS, Settings). An S3Object is not
/// checked yet.
Result<ShapedRequest> take_detect_labels(Request& request);

}  // namespace imgrec
