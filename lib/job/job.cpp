#include "lib/job/job.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kDocumentBytesMax = kMiB;  // SQS carries no more
constexpr std::size_t kLabelsMax = 1000;
constexpr std::size_t kDocumentBytesExpected = kKiB;  // of a usual one: five labels

// Thrown inside this file only: names the member that is wrong.
struct BadMember : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct OtherVersion {};  // thrown inside this file only

const ordered_json& member(const ordered_json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end()) throw BadMember(std::string("has no \"") + name + "\"");
  return *found;
}

std::string text_of(const ordered_json& object, const char* name) {
  const ordered_json& value = member(object, name);
  if (!value.is_string()) throw BadMember(std::string("\"") + name + "\" is no string");
  return value.get<std::string>();
}

std::string optional_text_of(const ordered_json& object, const char* name) {
  return object.contains(name) ? text_of(object, name) : std::string();
}

double number_of(const ordered_json& object, const char* name) {
  const ordered_json& value = member(object, name);
  if (!value.is_number()) throw BadMember(std::string("\"") + name + "\" is no number");
  return value.get<double>();
}

std::int64_t integer_of(const ordered_json& object, const char* name, std::int64_t max) {
  const ordered_json& value = member(object, name);
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

ordered_json parse_document(std::string_view text) {
  if (text.size() > kDocumentBytesMax) throw BadMember("is larger than 1 MiB");
  ordered_json document = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded() || !document.is_object()) throw BadMember("is no JSON object");
  if (integer_of(document, "v", INT64_MAX) != kJobVersion) throw OtherVersion();
  return document;
}

// There is none where whoever knows the job's id may ask for it, and in documents of earlier versions.
OwnerId owner_of(const ordered_json& document) {
  return document.contains("owner") ? checked(parse_owner_id(text_of(document, "owner")), "owner") : OwnerId();
}

StageTimings timings_of(const ordered_json& object) {
  return {.queue_ms = number_of(object, "queue"),
          .fetch_ms = number_of(object, "fetch"),
          .decode_ms = number_of(object, "decode"),
          .preprocess_ms = number_of(object, "preprocess"),
          .infer_ms = number_of(object, "infer"),
          .store_ms = number_of(object, "store")};
}

}  // namespace

std::string to_json(const ObjectReference& object) {
  JsonWriter json;
  json.begin_object().member("bucket", object.bucket).member("key", object.key.str());
  if (!object.version.empty()) json.member("version", object.version);
  return json.end_object().finish();
}

std::string to_json(const JobRequest& request) {
  JsonWriter json(kDocumentBytesExpected);
  json.begin_object()
      .member("v", kJobVersion)
      .member("job", request.job.str())
      .member("session", request.session.str());
  if (!request.owner.empty()) json.member("owner", request.owner.str());
  json.member("name", request.name);
  json.begin_object("input").member("bucket", request.input.bucket).member("key", request.input.key.str());
  json.member("bytes", request.input.bytes).member("sha256", request.input.sha256).end_object();
  if (request.object) json.member_json("object", to_json(*request.object));
  json.begin_object("options").member("top_k", request.top_k);
  if (request.thumbnail > 0) json.member("thumbnail", request.thumbnail);
  json.end_object();
  json.member("reply_to", request.reply_to);
  json.member("submitted_at", to_rfc3339(request.submitted_at)).member("expires_at", to_rfc3339(request.expires_at));
  if (!request.traceparent.empty()) json.member("traceparent", request.traceparent);
  return json.end_object().finish();
}

std::string to_json(const JobResult& result) {
  JsonWriter json(kDocumentBytesExpected);
  json.begin_object().member("v", kJobVersion).member("job", result.job.str()).member("session", result.session.str());
  if (!result.owner.empty()) json.member("owner", result.owner.str());
  json.member("name", result.name);
  json.begin_object("model").member("name", result.model.name).member("sha256", result.model.sha256);
  json.member("engine", result.model.engine).member("precision", result.model.precision).end_object();
  if (result.error) {
    json.begin_object("error").member("code", result.error->code).member("title", result.error->title);
    json.member("detail", result.error->detail).member("retryable", result.error->retryable).end_object();
  } else {
    json.begin_list("labels");
    for (const Label& label : result.labels) {
      json.begin_object().member("index", label.index).member("wnid", label.wnid).member("label", label.label);
      json.member("score", label.score).end_object();
    }
    json.end_list();
    if (!result.thumbnail.empty()) json.member("thumbnail", result.thumbnail);
  }
  const StageTimings& timings = result.timings;
  json.begin_object("timings_ms").member("queue", timings.queue_ms).member("fetch", timings.fetch_ms);
  json.member("decode", timings.decode_ms).member("preprocess", timings.preprocess_ms);
  json.member("infer", timings.infer_ms).member("store", timings.store_ms).end_object();
  json.begin_object("worker").member("id", result.worker.str()).member("app_tier_id", result.app_tier_id).end_object();
  return json.member("completed_at", to_rfc3339(result.completed_at)).end_object().finish();
}

Result<JobRequest> parse_job_request(std::string_view json) try {
  const ordered_json document = parse_document(json);
  JobRequest request;
  request.job = checked(parse_job_id(text_of(document, "job")), "job");
  request.session = checked(parse_session_id(text_of(document, "session")), "session");
  request.owner = owner_of(document);
  request.name = text_of(document, "name");
  const ordered_json& input = member(document, "input");
  request.input = {.bucket = text_of(input, "bucket"),
                   .key = ObjectKey(text_of(input, "key")),
                   .bytes = static_cast<std::uint64_t>(integer_of(input, "bytes", INT64_MAX)),
                   .sha256 = text_of(input, "sha256")};
  if (document.contains("object")) {
    const ordered_json& object = member(document, "object");
    request.object = ObjectReference{.bucket = text_of(object, "bucket"),
                                     .key = ObjectKey(text_of(object, "key")),
                                     .version = optional_text_of(object, "version")};
  }
  const ordered_json& options = member(document, "options");
  request.top_k = static_cast<int>(integer_of(options, "top_k", kLabelsMax));
  if (options.contains("thumbnail")) {
    request.thumbnail = static_cast<int>(integer_of(options, "thumbnail", INT32_MAX));
  }
  request.reply_to = text_of(document, "reply_to");
  request.traceparent = optional_text_of(document, "traceparent");
  request.submitted_at = checked(parse_rfc3339(text_of(document, "submitted_at")), "submitted_at");
  request.expires_at = checked(parse_rfc3339(text_of(document, "expires_at")), "expires_at");
  return request;
} catch (const OtherVersion&) {
  return other_version("request message");
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_request_message", std::string("The request message ") + error.what() + ".");
}

Result<JobResult> parse_job_result(std::string_view json) try {
  const ordered_json document = parse_document(json);
  JobResult result;
  result.job = checked(parse_job_id(text_of(document, "job")), "job");
  result.session = checked(parse_session_id(text_of(document, "session")), "session");
  result.owner = owner_of(document);
  result.name = text_of(document, "name");
  const ordered_json& model = member(document, "model");
  result.model = {.name = text_of(model, "name"),
                  .sha256 = text_of(model, "sha256"),
                  .engine = text_of(model, "engine"),
                  .precision = text_of(model, "precision")};
  if (document.contains("error")) {
    const ordered_json& error = member(document, "error");
    const ordered_json& retryable = member(error, "retryable");
    if (!retryable.is_boolean()) throw BadMember("\"retryable\" is no boolean");
    result.error =
        JobError{.code = text_of(error, error.contains("code") ? "code" : "kind"),  // results of earlier versions
                 .title = text_of(error, "title"),
                 .detail = text_of(error, "detail"),
                 .retryable = retryable.get<bool>()};
  } else {
    const ordered_json& labels = member(document, "labels");
    if (!labels.is_array() || labels.empty() || labels.size() > kLabelsMax)
      throw BadMember("\"labels\" is no list of 1 to 1000");
    for (const ordered_json& label : labels) {
      result.labels.push_back({.index = static_cast<int>(integer_of(label, "index", INT32_MAX)),
                               .wnid = text_of(label, "wnid"),
                               .label = text_of(label, "label"),
                               .score = number_of(label, "score")});
    }
    result.thumbnail = optional_text_of(document, "thumbnail");
  }
  result.timings = timings_of(member(document, "timings_ms"));
  const ordered_json& worker = member(document, "worker");
  result.worker = WorkerId(text_of(worker, "id"));
  result.app_tier_id = text_of(worker, "app_tier_id");
  result.completed_at = checked(parse_rfc3339(text_of(document, "completed_at")), "completed_at");
  return result;
} catch (const OtherVersion&) {
  return other_version("result document");
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_result_document", std::string("The result document ") + error.what() + ".");
}

std::optional<ReplyAddress> find_reply_address(std::string_view json) try {
  if (json.size() > kDocumentBytesMax) return std::nullopt;
  const ordered_json document = ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  ReplyAddress address;
  address.job = checked(parse_job_id(text_of(document, "job")), "job");
  address.reply_to = text_of(document, "reply_to");
  if (address.reply_to.empty()) return std::nullopt;
  const auto text_or_none = [&](const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  address.session = parse_session_id(text_or_none("session")).value_or(SessionId("unknown"));
  address.owner = parse_owner_id(text_or_none("owner")).value_or(OwnerId());
  address.name = text_or_none("name");
  return address;
} catch (const std::exception&) {
  return std::nullopt;
}

ObjectKey input_key(const JobId& job, const OwnerId& owner) {
  return ObjectKey("inputs/" + job.str() + (owner.empty() ? "" : "." + owner.str()));
}

ObjectKey result_key(const JobId& job) {
  return ObjectKey("results/" + job.str() + ".json");
}

ObjectKey attempt_key(const JobId& job, int attempt) {
  return ObjectKey("attempts/" + job.str() + "." + std::to_string(attempt));
}

Result<OwnerId> parse_owner_id(std::string_view text) {
  if (text.size() != 32 || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return fail(ErrorKind::invalid, "bad_owner_id", "An owner id has 32 lower-case hex digits.");
  }
  return OwnerId(std::string(text));
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
