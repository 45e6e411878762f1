#include "aws/client/wire/service_error.hpp"

#include <nlohmann/json.hpp>

#include "aws/client/wire/xml.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

using nlohmann::json;

constexpr std::size_t kMessageBytesMax = 500;

// "com.amazonaws.sqs#QueueDoesNotExist:http://…" → "QueueDoesNotExist"
std::string bare_code(std::string_view code) {
  code = code.substr(0, code.find(':'));
  const std::size_t hash = code.rfind('#');
  return std::string(trim(hash == std::string_view::npos ? code : code.substr(hash + 1)));
}

std::string printable(std::string_view text) {
  std::string out = to_valid_utf8(trim(text).substr(0, kMessageBytesMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return out;
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "…"}
void read_json(const std::string& body, ServiceError& out) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object()) return;
  if (out.code.empty()) out.code = bare_code(text_of(document, "__type"));
  if (out.code.empty()) out.code = bare_code(text_of(document, "code"));
  out.message = text_of(document, "message");
  if (out.message.empty()) out.message = text_of(document, "Message");
}

// Query: <ErrorResponse><Error>…</Error><RequestId/>; EC2: <Response><Errors><Error>…</Error></Errors><RequestID/>;
// S3: <Error>….
void read_xml(const std::string& body, ServiceError& out) {
  const auto root = parse_xml(body);
  if (!root) return;
  const XmlElement* error = root->name == "Error" ? &*root : root->child("Error");
  if (error == nullptr) error = root->at({"Errors", "Error"});
  if (error == nullptr) return;
  out.code = bare_code(error->value("Code"));
  out.message = error->value("Message");
  for (const char* name : {"RequestId", "RequestID"}) {
    if (!root->value(name).empty()) out.request_id = root->value(name);
  }
}

}  // namespace

std::string header_value(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

std::string request_id_of(const HttpHeaders& headers) {
  for (const char* name : {"x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"}) {
    if (const std::string value = header_value(headers, name); !value.empty()) return value;
  }
  return "";
}

ServiceError parse_service_error(const HttpClientResponse& response) {
  ServiceError out;
  out.request_id = request_id_of(response.headers);
  out.code = bare_code(header_value(response.headers, "x-amzn-errortype"));
  const std::string_view body = trim(response.body);
  if (body.starts_with('<')) read_xml(response.body, out);
  if (body.starts_with('{')) read_json(response.body, out);
  // "AWS.SimpleQueueService.NonExistentQueue;Sender": the code of the older protocol, which names more cases.
  const std::string query_error = header_value(response.headers, "x-amzn-query-error");
  if (!query_error.empty()) out.code = bare_code(query_error.substr(0, query_error.find(';')));
  out.code = printable(out.code);
  out.message = printable(out.message);
  out.request_id = printable(out.request_id);
  return out;
}

}  // namespace imgrec::aws
