#include "roles/load/answers.hpp"

#include <simdjson.h>

#include "lib/base/text.hpp"
#include "roles/load/json_private.hpp"

namespace imgrec::load {
namespace {

namespace dom = simdjson::dom;

constexpr const char* kBadAnswer = "bad_answer";

// A result document, a pending job, or an error.
ImageAnswer answer_of(const dom::element& item) {
  ImageAnswer answer{.name = text_of(item, "name")};
  dom::element found;
  dom::array labels;
  if (item["error"].get(found) == simdjson::SUCCESS) {
    answer.error = text_of(found, "code");
    if (answer.error.empty()) answer.error = kBadAnswer;
  } else if (item["labels"].get(labels) == simdjson::SUCCESS) {
    for (const dom::element label : labels) {
      answer.label = text_of(label, "label");
      break;
    }
  } else {
    answer.location = text_of(item, "location");
    // It becomes part of a request line.
    if (!answer.location.starts_with('/') || answer.location.find_first_of(" \r\n") != std::string::npos) {
      answer = {.error = kBadAnswer};
    }
  }
  return answer;
}

}  // namespace

struct AnswerReader::Parser {
  dom::parser json;
};

AnswerReader::AnswerReader(Dialect dialect) : dialect_(dialect), parser_(std::make_unique<Parser>()) {}
AnswerReader::~AnswerReader() = default;

// "http_503 overloaded": the code tells the reasons of one status apart.
std::string AnswerReader::error_of(const Response& response) {
  std::string error = "http_" + std::to_string(response.status);
  if (!response.header("content-type").starts_with("application/problem+json")) return error;
  dom::element root;
  if (parser_->json.parse(response.body.data(), response.body.size()).get(root) != simdjson::SUCCESS) return error;
  const std::string code = text_of(root, "code");
  return code.empty() ? error : error + " " + code;
}

void AnswerReader::read(const Response& response, std::size_t count, std::vector<ImageAnswer>& answers) {
  answers.clear();
  if (response.status != 200 && !(dialect_ == Dialect::v1 && response.status == 202)) {
    answers.assign(count, {.error = error_of(response)});
  } else if (dialect_ == Dialect::v1) {
    read_documents(response, count, answers);
  } else {
    std::string_view label = trim(response.body);
    if (dialect_ == Dialect::y2026) {
      const std::size_t colon = label.find(':');
      label = colon == label.npos ? std::string_view() : trim(label.substr(colon + 1));
    }
    answers.assign(count, {.label = std::string(label), .error = label.empty() ? kBadAnswer : ""});
  }
}

void AnswerReader::read_documents(const Response& response, std::size_t count, std::vector<ImageAnswer>& answers) {
  dom::element root;
  if (parser_->json.parse(response.body.data(), response.body.size()).get(root) == simdjson::SUCCESS) {
    dom::array items;
    if (root["results"].get(items) == simdjson::SUCCESS || root["jobs"].get(items) == simdjson::SUCCESS) {
      for (const dom::element item : items) answers.push_back(answer_of(item));
    } else {
      answers.push_back(answer_of(root));
    }
  }
  if (answers.size() != count) answers.assign(count, {.error = kBadAnswer});
}

}  // namespace imgrec::load
