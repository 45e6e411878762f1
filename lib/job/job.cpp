#include "lib/job/job.hpp"

#include <charconv>
#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDocumentBytesMax = kMiB;  // SQS carries no more
constexpr std::size_t kLabelsMax = 1000;

// Thrown inside this file only: names the member that is wrong.
struct BadMember : std::runtime_error {
  using std::runtime_error::runtime_error;
};

const Json& member(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end()) throw BadMember(std::string("has no \"") + name + "\"");
  return *found;
}

std::string text_of(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_string()) throw BadMember(std::string("\"") + name + "\" is no string");
  return value.get<std::string>();
}

std::string optional_text_of(const Json& object, const char* name) {
  return object.contains(name) ? text_of(object, name) : std::string();
}

double number_of(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) throw BadMember(std::string("\"") + name + "\" is no number");
  return value.get<double>();
}

std::int64_t integer_of(const Json& object, const char* name, std::int64_t max) {
  const Json& value = member(object, name);
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > max) {
    throw BadMember(std::string("\"") + name + "\" is no whole number in range");
  }
  return value.get<std::int64_t>();
}

template <class T>
T checked(Result<T> parsed, const char* name) {
  if (!parsed) throw BadMember(std::string("\"") + name + "\": " + parsed.error().message);
  return *std::move(parsed);
}

Json parse_document(std::string_view text) {
  if (text.size() > kDocumentBytesMax) throw BadMember("is larger than 1 MiB");
  Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded() || !document.is_object()) throw BadMember("is no JSON object");
  if (integer_of(document, "v", 1000) != 1) throw BadMember("has another version than 1");
  return document;
}

// Documents are written piece by piece: there are six of them in the way of each image, and a tree of nodes for each
// costs ten times as much. What is no UTF-8 in a text is replaced rather than refused.
class JsonWriter {
 public:
  JsonWriter() { out_.reserve(1024); }

  JsonWriter& open(std::string_view name, char bracket) {
    key(name);
    out_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    first_ = false;
    return *this;
  }
  JsonWriter& text(std::string_view name, std::string_view value) {
    key(name);
    out_ += json_quote(value);
    return *this;
  }
  JsonWriter& flag(std::string_view name, bool value) {
    key(name);
    out_ += value ? "true" : "false";
    return *this;
  }
  template <std::integral Integer>
  JsonWriter& integer(std::string_view name, Integer value) {
    key(name);
    append(value);
    return *this;
  }
  JsonWriter& number(std::string_view name, double value) {
    key(name);
    if (std::isfinite(value)) {
      append(value);
    } else {
      out_ += "null";  // JSON has neither nan nor inf
    }
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  // Names are literals without anything to escape; an element of a list has none.
  void key(std::string_view name) {
    if (!std::exchange(first_, false)) out_ += ',';
    if (!name.empty()) out_.append("\"").append(name).append("\":");
  }
  template <class Number>
  void append(Number value) {
    char digits[32];  // the shortest that reads back as the same value has at most 24
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }

  std::string out_;
  bool first_ = true;
};

StageTimings timings_of(const Json& object) {
  return {.queue_ms = number_of(object, "queue"),
          .fetch_ms = number_of(object, "fetch"),
          .decode_ms = number_of(object, "decode"),
          .preprocess_ms = number_of(object, "preprocess"),
          .infer_ms = number_of(object, "infer"),
          .store_ms = number_of(object, "store")};
}

}  // namespace

std::string to_json(const JobRequest& request) {
  JsonWriter json;
  json.open("", '{').integer("v", 1).text("job", request.job.str()).text("session", request.session.str());
  json.text("name", request.name);
  json.open("input", '{').text("bucket", request.input.bucket).text("key", request.input.key.str());
  json.integer("bytes", request.input.bytes).text("sha256", request.input.sha256).close('}');
  json.open("options", '{').integer("top_k", request.top_k).close('}');
  json.text("reply_to", request.reply_to);
  json.text("submitted_at", to_rfc3339(request.submitted_at)).text("expires_at", to_rfc3339(request.expires_at));
  if (!request.traceparent.empty()) json.text("traceparent", request.traceparent);
  return json.close('}').take();
}

std::string to_json(const JobResult& result) {
  JsonWriter json;
  json.open("", '{').integer("v", 1).text("job", result.job.str()).text("session", result.session.str());
  json.text("name", result.name);
  json.open("model", '{').text("name", result.model.name).text("sha256", result.model.sha256);
  json.text("engine", result.model.engine).text("precision", result.model.precision).close('}');
  if (result.error) {
    json.open("error", '{').text("code", result.error->code).text("title", result.error->title);
    json.text("detail", result.error->detail).flag("retryable", result.error->retryable).close('}');
  } else {
    json.open("labels", '[');
    for (const Label& label : result.labels) {
      json.open("", '{').integer("index", label.index).text("wnid", label.wnid).text("label", label.label);
      json.number("score", label.score).close('}');
    }
    json.close(']');
  }
  const StageTimings& timings = result.timings;
  json.open("timings_ms", '{').number("queue", timings.queue_ms).number("fetch", timings.fetch_ms);
  json.number("decode", timings.decode_ms).number("preprocess", timings.preprocess_ms);
  json.number("infer", timings.infer_ms).number("store", timings.store_ms).close('}');
  json.open("worker", '{').text("id", result.worker.str()).text("app_tier_id", result.app_tier_id).close('}');
  return json.text("completed_at", to_rfc3339(result.completed_at)).close('}').take();
}

Result<JobRequest> parse_job_request(std::string_view json) try {
  const Json document = parse_document(json);
  JobRequest request;
  request.job = checked(parse_job_id(text_of(document, "job")), "job");
  request.session = checked(parse_session_id(text_of(document, "session")), "session");
  request.name = text_of(document, "name");
  const Json& input = member(document, "input");
  request.input = {.bucket = text_of(input, "bucket"),
                   .key = ObjectKey(text_of(input, "key")),
                   .bytes = static_cast<std::uint64_t>(integer_of(input, "bytes", INT64_MAX)),
                   .sha256 = text_of(input, "sha256")};
  request.top_k = static_cast<int>(integer_of(member(document, "options"), "top_k", kLabelsMax));
  request.reply_to = text_of(document, "reply_to");
  request.traceparent = optional_text_of(document, "traceparent");
  request.submitted_at = checked(parse_rfc3339(text_of(document, "submitted_at")), "submitted_at");
  request.expires_at = checked(parse_rfc3339(text_of(document, "expires_at")), "expires_at");
  return request;
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_request_message", std::string("The request message ") + error.what() + ".");
}

Result<JobResult> parse_job_result(std::string_view json) try {
  const Json document = parse_document(json);
  JobResult result;
  result.job = checked(parse_job_id(text_of(document, "job")), "job");
  result.session = checked(parse_session_id(text_of(document, "session")), "session");
  result.name = text_of(document, "name");
  const Json& model = member(document, "model");
  result.model = {.name = text_of(model, "name"),
                  .sha256 = text_of(model, "sha256"),
                  .engine = text_of(model, "engine"),
                  .precision = text_of(model, "precision")};
  if (document.contains("error")) {
    const Json& error = member(document, "error");
    const Json& retryable = member(error, "retryable");
    if (!retryable.is_boolean()) throw BadMember("\"retryable\" is no boolean");
    result.error =
        JobError{.code = text_of(error, error.contains("code") ? "code" : "kind"),  // results of earlier versions
                 .title = text_of(error, "title"),
                 .detail = text_of(error, "detail"),
                 .retryable = retryable.get<bool>()};
  } else {
    const Json& labels = member(document, "labels");
    if (!labels.is_array() || labels.empty() || labels.size() > kLabelsMax)
      throw BadMember("\"labels\" is no list of 1 to 1000");
    for (const Json& label : labels) {
      result.labels.push_back({.index = static_cast<int>(integer_of(label, "index", INT32_MAX)),
                               .wnid = text_of(label, "wnid"),
                               .label = text_of(label, "label"),
                               .score = number_of(label, "score")});
    }
  }
  result.timings = timings_of(member(document, "timings_ms"));
  const Json& worker = member(document, "worker");
  result.worker = WorkerId(text_of(worker, "id"));
  result.app_tier_id = text_of(worker, "app_tier_id");
  result.completed_at = checked(parse_rfc3339(text_of(document, "completed_at")), "completed_at");
  return result;
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_result_document", std::string("The result document ") + error.what() + ".");
}

std::optional<int> document_version(std::string_view json) try {
  if (json.size() > kDocumentBytesMax) return std::nullopt;
  return static_cast<int>(integer_of(Json::parse(json, nullptr, /*allow_exceptions=*/false), "v", INT32_MAX));
} catch (const std::exception&) {
  return std::nullopt;
}

std::optional<ReplyAddress> find_reply_address(std::string_view json) try {
  if (json.size() > kDocumentBytesMax) return std::nullopt;
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  ReplyAddress address;
  address.job = checked(parse_job_id(text_of(document, "job")), "job");
  address.reply_to = text_of(document, "reply_to");
  if (address.reply_to.empty()) return std::nullopt;
  const auto text_or_none = [&](const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  address.session = parse_session_id(text_or_none("session")).value_or(SessionId("unknown"));
  address.name = text_or_none("name");
  return address;
} catch (const std::exception&) {
  return std::nullopt;
}

ObjectKey input_key(const JobId& job) {
  return ObjectKey("inputs/" + job.str());
}

ObjectKey result_key(const JobId& job) {
  return ObjectKey("results/" + job.str() + ".json");
}

ObjectKey attempt_key(const JobId& job, int attempt) {
  return ObjectKey("attempts/" + job.str() + "." + std::to_string(attempt));
}

Result<SessionId> parse_session_id(std::string_view text) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  if (text.empty() || text.size() > 64 || text.find_first_not_of(kAllowed) != std::string_view::npos) {
    return fail(ErrorKind::invalid, "bad_session_id", "A session id has 1 to 64 letters, digits, - and _.");
  }
  return SessionId(std::string(text));
}

std::string file_stem(std::string_view name) {
  if (const std::size_t slash = name.find_last_of("/\\"); slash != std::string_view::npos)
    name.remove_prefix(slash + 1);
  const std::size_t dot = name.rfind('.');
  return std::string(dot == 0 || dot == std::string_view::npos ? name : name.substr(0, dot));
}

}  // namespace imgrec
