#include "roles/web/compat/rekognition.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "lib/base/base64.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/base/text.hpp"
#include "roles/web/compat/body.hpp"

namespace imgrec {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kContentType = "application/x-amz-json-1.1";
constexpr std::string_view kTargetPrefix = "RekognitionService.";
constexpr double kConfidenceMinDefault = 55;
constexpr int kLabelsMax = 1000;
constexpr std::size_t kModelDigits = 12;

struct ErrorName {
  std::string_view code, name;
};
// By our codes; all with status 400, as Rekognition's are, but the last.
constexpr ErrorName kErrorNames[] = {
    {"bad_json", "SerializationException"},
    {"bad_parameter", "InvalidParameterException"},
    {"bad_base64", "SerializationException"},
    {"bad_object_reference", "InvalidS3ObjectException"},
    {"bucket_not_allowed", "InvalidS3ObjectException"},
    {"object_not_found", "InvalidS3ObjectException"},
    {"object_denied", "InvalidS3ObjectException"},
    {"unknown_operation", "UnknownOperationException"},
    {"image_empty", "InvalidParameterException"},
    {"image_too_large", "ImageTooLargeException"},
    {"object_too_large", "ImageTooLargeException"},
    {"body_too_large", "ImageTooLargeException"},
    {"unsupported_format", "InvalidImageFormatException"},
    {"image_truncated", "InvalidImageFormatException"},
    {"image_corrupt", "InvalidImageFormatException"},
    {"overloaded", "ThrottlingException"},
    {"memory_full", "ThrottlingException"},
    {"upload_too_slow", "ThrottlingException"},
};
constexpr std::string_view kInternal = "InternalServerError";

std::string_view name_of(const ShapedError& error) {
  const auto* found = std::ranges::find(kErrorNames, error.code, &ErrorName::code);
  if (found != std::end(kErrorNames)) return found->name;
  if (error.status == 401 || error.status == 403) return "AccessDeniedException";
  if (error.status == 429) return "ThrottlingException";
  return error.status >= 500 ? kInternal : "InvalidParameterException";
}

Response rekognition_response(int status, std::string body, const RequestId& request) {
  return {.status = status,
          .content_type = std::string(kContentType),
          .headers = {{"x-amzn-RequestId", request.str()}, {"Cache-Control", "no-store"}},
          .body = std::move(body)};
}

struct Limits {
  int labels_max = kLabelsMax;
  double confidence_min = 0;  // percent
};

class RekognitionShape final : public AnswerShape {
 public:
  explicit RekognitionShape(const Limits& limits) : limits_(limits) {}

  Response labels(const std::vector<const JobResult*>& results, const RequestId& request) const override {
    const JobResult& result = *results.front();
    JsonWriter json;
    json.begin_object().begin_list("Labels");
    int count = 0;
    for (const Label& label : result.labels) {
      const double confidence = 100 * label.score;
      if (confidence < limits_.confidence_min || count++ >= limits_.labels_max) break;  // best first
      json.begin_object().member("Name", label.label).member("Confidence", confidence);
      for (const char* none : {"Instances", "Parents", "Aliases", "Categories"}) json.begin_list(none).end_list();
      json.end_object();
    }
    json.end_list();
    json.member("LabelModelVersion", result.model.name + "-" + result.model.sha256.substr(0, kModelDigits));
    return rekognition_response(200, json.end_object().finish(), request);
  }

  Response error(const ShapedError& error, const RequestId& request) const override {
    const std::string_view name = name_of(error);
    JsonWriter json;
    json.begin_object().member("__type", name).member("Code", name).member("Message", error.detail);
    json.member("Logref", request.str());
    return rekognition_response(name == kInternal ? 500 : 400, json.end_object().finish(), request);
  }

 private:
  const Limits limits_;
};

std::unexpected<Error> bad_parameter(std::string what) {
  return fail(ErrorKind::invalid, "bad_parameter", std::move(what));
}

/// Nothing when the member is missing or null.
std::optional<dom::element> member(const dom::object& object, std::string_view name) {
  dom::element value;
  if (object[name].get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

Result<Limits> limits_of(const dom::object& object) {
  Limits limits{.labels_max = kLabelsMax, .confidence_min = kConfidenceMinDefault};
  if (const auto value = member(object, "MaxLabels")) {
    std::int64_t number = 0;
    if (value->get(number) != simdjson::SUCCESS || number < 0) return bad_parameter("MaxLabels is no number from 0.");
    if (number > 0) limits.labels_max = static_cast<int>(std::min<std::int64_t>(number, kLabelsMax));
  }
  if (const auto value = member(object, "MinConfidence")) {
    if (value->get(limits.confidence_min) != simdjson::SUCCESS ||
        !(limits.confidence_min >= 0 && limits.confidence_min <= 100)) {
      return bad_parameter("MinConfidence is no number from 0 to 100.");
    }
  }
  return limits;
}

Result<void> check_features(const dom::object& object) {
  if (const auto value = member(object, "Features")) {
    dom::array features;
    if (value->get(features) != simdjson::SUCCESS) return bad_parameter("Features is no list.");
    for (const dom::element feature : features) {
      std::string_view name;
      if (feature.get(name) != simdjson::SUCCESS || name != "GENERAL_LABELS") {
        return bad_parameter("The only one of Features that is done here is GENERAL_LABELS.");
      }
    }
  }
  if (const auto value = member(object, "Settings")) {
    dom::object settings;
    if (value->get(settings) != simdjson::SUCCESS || settings.size() > 0) {
      return bad_parameter("Settings are not done here: leave them out, and choose among the labels that come.");
    }
  }
  return {};
}

struct ImageAsked {
  std::string bytes;  // of a reference, to_json() of it
  std::optional<ObjectReference> object;
};

Result<ImageAsked> image_of(const dom::object& object) {
  const auto value = member(object, "Image");
  dom::object image;
  if (!value || value->get(image) != simdjson::SUCCESS) return bad_parameter("Image is missing.");
  const auto bytes = member(image, "Bytes");
  const auto named = member(image, "S3Object");
  if (bytes && named) return bad_parameter("Image has Bytes or S3Object, and not both.");
  if (named) {
    dom::object s3;
    std::string_view bucket, key, version;
    const auto text = [&s3](std::string_view name, std::string_view& into) {
      const auto found = member(s3, name);
      return !found || found->get(into) == simdjson::SUCCESS;
    };
    if (named->get(s3) != simdjson::SUCCESS || !text("Bucket", bucket) || !text("Name", key) ||
        !text("Version", version) || bucket.empty() || key.empty()) {
      return bad_parameter("Image.S3Object has the texts Bucket and Name, and may have Version.");
    }
    ObjectReference reference{
        .bucket = std::string(bucket), .key = ObjectKey(std::string(key)), .version = std::string(version)};
    std::string document = to_json(reference);
    return ImageAsked{.bytes = std::move(document), .object = std::move(reference)};
  }
  std::string_view base64;
  if (!bytes || bytes->get(base64) != simdjson::SUCCESS) return bad_parameter("Image.Bytes is missing.");
  auto decoded = base64_decode(base64);
  if (!decoded) return fail(decoded.error());
  return ImageAsked{.bytes = *std::move(decoded), .object = {}};
}

// Scores of an image sum to 1, so no more labels than this can have the confidence asked for.
int labels_needed(const Limits& limits) {
  const double possible = limits.confidence_min > 0 ? std::floor(100 / limits.confidence_min) + 1 : kLabelsMax;
  return std::max(1, static_cast<int>(std::min<double>(limits.labels_max, possible)));
}

}  // namespace

bool is_rekognition_call(const Request& request) {
  return request.method == "POST" && request.path == "/" && request.header("x-amz-target") &&
         to_lower(request.header("content-type").value_or("")).starts_with(kContentType);
}

std::string_view rekognition_operation(const Request& request) {
  const std::string_view target = request.header("x-amz-target").value_or("");
  return target.starts_with(kTargetPrefix) ? target.substr(kTargetPrefix.size()) : std::string_view();
}

std::shared_ptr<const AnswerShape> rekognition_shape() {
  static const auto shape = std::make_shared<const RekognitionShape>(Limits{});
  return shape;
}

Result<ShapedRequest> take_detect_labels(Request& request) {
  if (const auto target = request.header("x-amz-target"); target && rekognition_operation(request) != "DetectLabels") {
    return fail(ErrorKind::invalid, "unknown_operation", "The only operation here is RekognitionService.DetectLabels.");
  }
  const std::string body = std::exchange(request.body, {});
  if (body.size() > kJsonBytesMax) {
    return fail(ErrorKind::invalid, "body_too_large", "The request has more than 32 MiB. Send a smaller image.");
  }
  const std::lock_guard lock(json_parsing());
  dom::parser parser;
  dom::object object;
  if (parser.parse(body).get(object) != simdjson::SUCCESS) {
    return fail(ErrorKind::invalid, "bad_json", "The body is no JSON object.");
  }
  const auto limits = limits_of(object);
  if (!limits) return fail(limits.error());
  if (auto checked = check_features(object); !checked) return fail(checked.error());
  auto image = image_of(object);
  if (!image) return fail(image.error());
  ShapedRequest shaped;
  shaped.body = hold_body(std::move(image->bytes), request);
  shaped.images.push_back({.name = "", .bytes = *shaped.body, .object = std::move(image->object)});
  shaped.top_k = labels_needed(*limits);
  shaped.shape = std::make_shared<const RekognitionShape>(*limits);
  return shaped;
}

}  // namespace imgrec
