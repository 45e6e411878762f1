#include "roles/web/compat/inference_protocol.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "lib/base/json_writer.hpp"
#include "roles/web/compat/body.hpp"
#include "roles/web/compat/inference_input.hpp"

namespace imgrec {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kHeaderLength = "Inference-Header-Content-Length";
constexpr int kTopKMax = 1000;
constexpr std::size_t kOutputsMax = 16;
constexpr std::size_t kIdBytesMax = 256;

enum class Values { classes, labels, scores, indices };
struct KnownOutput {
  std::string_view name, datatype;
  Values values;
};
constexpr KnownOutput kOutputs[] = {
    {"classes", "BYTES", Values::classes},  // "score:index:label", Triton's form
    {"labels", "BYTES", Values::labels},
    {"scores", "FP32", Values::scores},
    {"indices", "INT64", Values::indices},
};

struct Output {
  KnownOutput of;
  bool binary = false;
  int classification = 0;  // so many "score:index:label" in the place of its values; 0: its values
};

struct Form {
  std::string model, id;
  std::vector<Output> outputs;
  int top_k = 5;
};

std::string class_text(const Label& label) {
  std::array<char, 64> score{};
  std::snprintf(score.data(), score.size(), "%f:%d:", label.score, label.index);
  return score.data() + label.label;
}

template <class Number>
void append_number(std::string& bytes, Number number) {
  std::array<char, sizeof number> raw{};
  std::memcpy(raw.data(), &number, sizeof number);
  bytes.append(raw.data(), raw.size());
}

void append_text(std::string& bytes, std::string_view text) {
  append_number(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
}

void append_binary(std::string& bytes, const Output& output, const Label& label) {
  if (output.classification > 0) return append_text(bytes, class_text(label));
  switch (output.of.values) {
    case Values::classes: return append_text(bytes, class_text(label));
    case Values::labels: return append_text(bytes, label.label);
    case Values::scores: return append_number(bytes, static_cast<float>(label.score));
    case Values::indices: return append_number(bytes, static_cast<std::int64_t>(label.index));
  }
}

void append_json(JsonWriter& json, const Output& output, const Label& label) {
  if (output.classification > 0) {
    json.element(class_text(label));
    return;
  }
  switch (output.of.values) {
    case Values::classes: json.element(class_text(label)); return;
    case Values::labels: json.element(label.label); return;
    case Values::scores: json.element(label.score); return;
    case Values::indices: json.element(label.index); return;
  }
}

Response inference_response(int status, std::string body) {
  return {.status = status,
          .content_type = "application/json",
          .headers = {{"Cache-Control", "no-store"}},
          .body = std::move(body)};
}

class InferenceShape final : public AnswerShape {
 public:
  explicit InferenceShape(Form form) : form_(std::move(form)) {}

  Response labels(const std::vector<const JobResult*>& results, const RequestId& request) const override {
    JsonWriter json(kKiB);
    std::string binary;
    json.begin_object().member("model_name", form_.model).member("model_version", kModelVersion);
    json.member("id", form_.id.empty() ? request.str() : form_.id).begin_list("outputs");
    for (const Output& output : form_.outputs) write(json, binary, output, results);
    Response response = inference_response(200, json.end_list().end_object().finish());
    if (binary.empty()) return response;
    response.content_type = "application/octet-stream";
    response.headers.emplace_back(kHeaderLength, std::to_string(response.body.size()));
    response.body += binary;
    return response;
  }

  Response error(const ShapedError& error, const RequestId&) const override {
    JsonWriter json;
    json.begin_object().member("error", error.detail);
    return inference_response(error.status, json.end_object().finish());
  }

 private:
  // As many labels of each image as all have, and no more than asked for.
  std::size_t columns(const Output& output, const std::vector<const JobResult*>& results) const {
    std::size_t count = static_cast<std::size_t>(output.classification > 0 ? output.classification : form_.top_k);
    for (const JobResult* result : results) count = std::min(count, result->labels.size());
    return count;
  }

  void write(JsonWriter& json, std::string& binary, const Output& output,
             const std::vector<const JobResult*>& results) const {
    const std::size_t count = columns(output, results);
    json.begin_object().member("name", output.of.name);
    json.member("datatype", output.classification > 0 ? "BYTES" : output.of.datatype);
    json.begin_list("shape").element(results.size()).element(count).end_list();
    const std::size_t before = binary.size();
    if (!output.binary) json.begin_list("data");
    for (const JobResult* result : results) {
      for (std::size_t i = 0; i < count; ++i) {
        if (output.binary) {
          append_binary(binary, output, result->labels[i]);
        } else {
          append_json(json, output, result->labels[i]);
        }
      }
    }
    if (output.binary) {
      json.begin_object("parameters").member("binary_data_size", binary.size() - before).end_object();
    } else {
      json.end_list();
    }
    json.end_object();
  }

  const Form form_;
};

bool flag_of(const dom::object& object, std::string_view name) {
  bool value = false;
  return object["parameters"][name].get(value) == simdjson::SUCCESS && value;
}

Result<Output> output_of(const dom::object& object, bool binary) {
  std::string_view name;
  if (object["name"].get(name) != simdjson::SUCCESS) return bad_inference_request("An output has no name.");
  const auto* known = std::ranges::find(kOutputs, name, &KnownOutput::name);
  if (known == std::end(kOutputs)) {
    return bad_inference_request("There is no output \"" + std::string(name) +
                                 "\": the outputs are classes, labels, scores and indices.");
  }
  Output output{.of = *known, .binary = binary};
  bool own = false;
  if (object["parameters"]["binary_data"].get(own) == simdjson::SUCCESS) output.binary = own;
  dom::element classification;
  if (object["parameters"]["classification"].get(classification) == simdjson::SUCCESS) {
    std::int64_t count = 0;
    if (classification.get(count) != simdjson::SUCCESS || count < 0 || count > kTopKMax) {
      return bad_inference_request("classification is a number of classes of at most 1000.");
    }
    output.classification = static_cast<int>(count);
  }
  return output;
}

Result<std::vector<Output>> outputs_of(const dom::object& object) {
  const bool binary = flag_of(object, "binary_data_output");
  std::vector<Output> outputs;
  dom::array list;
  if (object["outputs"].get(list) == simdjson::SUCCESS) {
    for (const dom::element element : list) {
      dom::object one;
      if (element.get(one) != simdjson::SUCCESS) return bad_inference_request("outputs is no list of objects.");
      auto output = output_of(one, binary);
      if (!output) return fail(output.error());
      if (outputs.size() == kOutputsMax) return bad_inference_request("More outputs are asked for than there are.");
      outputs.push_back(*output);
    }
  }
  if (outputs.empty()) {
    for (const KnownOutput& known : kOutputs) outputs.push_back({.of = known, .binary = binary});
  }
  return outputs;
}

/// Where the JSON ends and binary data begins.
Result<std::size_t> json_bytes(const Request& request, std::size_t body_bytes) {
  const auto header = request.header("inference-header-content-length");
  if (!header) return body_bytes;
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(header->data(), header->data() + header->size(), bytes);
  if (error != std::errc() || end != header->data() + header->size() || bytes > body_bytes) {
    return bad_inference_request("Inference-Header-Content-Length is no number of bytes of this body.");
  }
  return bytes;
}

}  // namespace

std::shared_ptr<const AnswerShape> inference_shape() {
  static const auto shape = std::make_shared<const InferenceShape>(Form{});
  return shape;
}

Result<ShapedRequest> take_inference(Request& request, const std::string& model, const InferenceLimits& limits) {
  const auto body = hold_body(std::exchange(request.body, {}), request);
  const auto bytes = json_bytes(request, body->size());
  if (!bytes) return fail(bytes.error());
  if (*bytes > kJsonBytesMax) {
    return fail(ErrorKind::invalid, "body_too_large",
                "The request has more than 32 MiB of JSON. Send its input as binary data (binary_data_size).");
  }
  const std::lock_guard lock(json_parsing());
  dom::parser parser;
  dom::object object;
  if (parser.parse(body->data(), *bytes).get(object) != simdjson::SUCCESS) {
    return fail(ErrorKind::invalid, "bad_json", "The request is no JSON object.");
  }
  Form form;
  form.model = model;
  form.top_k = limits.top_k;
  std::string_view id;
  if (object["id"].get(id) == simdjson::SUCCESS) form.id = id.substr(0, kIdBytesMax);
  auto outputs = outputs_of(object);
  if (!outputs) return fail(outputs.error());
  form.outputs = *std::move(outputs);

  auto shaped = read_inference_input(object, body, std::string_view(*body).substr(*bytes), limits.images_max);
  if (!shaped) return shaped;
  shaped->top_k = limits.top_k;
  for (const Output& output : form.outputs) shaped->top_k = std::max(shaped->top_k, output.classification);
  shaped->shape = std::make_shared<const InferenceShape>(std::move(form));
  return shaped;
}

std::string server_metadata(std::string_view version) {
  JsonWriter json;
  json.begin_object().member("name", "imgrec").member("version", version);
  json.begin_list("extensions").element("binary_tensor_data").element("classification").end_list();
  return json.end_object().finish();
}

std::string model_metadata(std::string_view model) {
  JsonWriter json;
  const auto tensor = [&](std::string_view name, std::string_view datatype, std::initializer_list<int> shape) {
    json.begin_object().member("name", name).member("datatype", datatype).begin_list("shape");
    for (const int side : shape) json.element(side);
    json.end_list().end_object();
  };
  json.begin_object().member("name", model).begin_list("versions").element(kModelVersion).end_list();
  json.member("platform", "onnx_onnxv1").begin_list("inputs");
  tensor("image", "BYTES", {-1});
  tensor("tensor", "FP32", {-1, 3, -1, -1});
  json.end_list().begin_list("outputs");
  for (const KnownOutput& output : kOutputs) tensor(output.name, output.datatype, {-1, -1});
  return json.end_list().end_object().finish();
}

}  // namespace imgrec
