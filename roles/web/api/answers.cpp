#include "roles/web/api/answers.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"
#include "lib/http/server/problem.hpp"
#include "lib/http/syntax/etag.hpp"
#include "roles/web/api/errors.hpp"
#include "roles/web/api/reply.hpp"

namespace imgrec {
namespace {

constexpr int kTooManyRequests = 429;
constexpr int kGatewayTimeout = 504;
constexpr std::size_t kEtagDigits = 32;
constexpr std::string_view kJson = "application/json";

struct Failure {
  std::string code, title, detail;
  bool retryable = false;
};

Failure failure_of(const Error& error) {
  return {error.code, error_title(error.code), error.message, is_retryable(error.kind)};
}

Error unanswered(WaitEnd how) {
  if (how == WaitEnd::stopping) {
    return {ErrorKind::transient, "stopping", "The server stopped before the answer was there; send the image again."};
  }
  return {ErrorKind::transient, "wait_too_long",
          "No worker answered within the longest wait; is a worker running? Send the image again."};
}

/// What is wrong with an image; nothing when it has labels, or when it is accepted and still pending.
std::optional<Failure> failure_of(const ImageSlot& slot, WaitEnd how) {
  if (slot.refused) return failure_of(*slot.refused);
  if (slot.result && slot.result->error) {
    const JobError& error = *slot.result->error;
    return Failure{error.code, error.title, error.detail, error.retryable};
  }
  if (slot.result || how == WaitEnd::accepted) return std::nullopt;
  return failure_of(unanswered(how));
}

int status_for(const AnswerForm& form, const Failure& failure) {
  const int status = status_of(failure.code, failure.retryable);
  return form.held && status == kServiceUnavailable ? kGatewayTimeout : status;
}

Response failure_response(const AnswerForm& form, const Failure& failure, const RequestId& request,
                          Seconds retry_after = Seconds(2)) {
  const int status = status_for(form, failure);
  if (form.shape) {
    return form.shape->error(
        {.code = failure.code, .detail = failure.detail, .status = status, .retryable = failure.retryable}, request);
  }
  const HttpHeaders again = {{"Retry-After", std::to_string(retry_after.count())}};
  if (form.style == Style::text) {
    return {
        .status = status, .headers = status == kTooManyRequests ? again : HttpHeaders{}, .body = failure.detail + "\n"};
  }
  Response response = to_response({.type = error_type(failure.code, status),
                                   .status = status,
                                   .code = failure.code,
                                   .title = failure.title,
                                   .detail = failure.detail,
                                   .retryable = failure.retryable},
                                  request);
  if (status == kServiceUnavailable || status == kTooManyRequests) response.headers = again;
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

std::string pending_json(const JobId& job, std::string_view name) {
  return "{\"job\":" + json_quote(job.str()) + ",\"name\":" + json_quote(name) +
         ",\"status\":\"pending\",\"location\":" + json_quote(job_location(job)) + "}";
}

std::string refused_json(const ImageSlot& slot, const Failure& failure, const RequestId& request) {
  return "{\"v\":1,\"name\":" + json_quote(slot.name) + ",\"error\":{\"code\":" + json_quote(failure.code) +
         ",\"title\":" + json_quote(failure.title) + ",\"detail\":" + json_quote(failure.detail) +
         ",\"retryable\":" + (failure.retryable ? "true" : "false") + ",\"request_id\":" + json_quote(request.str()) +
         "}}";
}

JobResult for_answer(const AnswerForm& form, JobResult result) {
  std::erase_if(result.labels, [&](const Label& label) { return label.score < form.min_score; });
  return result;
}

std::string item_json(const AnswerForm& form, const ImageSlot& slot, WaitEnd how, const RequestId& request) {
  if (slot.result) return to_json(for_answer(form, *slot.result));
  if (const auto failure = failure_of(slot, how)) return refused_json(slot, *failure, request);
  return pending_json(slot.job, slot.name);
}

int list_status(const AnswerForm& form, WaitEnd how) {
  if (how == WaitEnd::answered) return 200;
  return how == WaitEnd::accepted ? 202 : status_for(form, failure_of(unanswered(how)));
}

Response json_list(const AnswerForm& form, WaitEnd how, const std::vector<ImageSlot>& slots, const RequestId& request) {
  const bool pending = how == WaitEnd::accepted;
  std::string body = pending ? "{\"jobs\":[" : "{\"results\":[";
  for (std::size_t i = 0; i < slots.size(); ++i) body += (i ? "," : "") + item_json(form, slots[i], how, request);
  return {.status = list_status(form, how),
          .content_type = std::string(kJson),
          .headers = {{"Cache-Control", "no-store"}},
          .body = std::move(body) + "]}\n"};
}

// Adds members to the object in a problem's body.
void extend(Response& response, std::string_view members) {
  if (const std::size_t end = response.body.rfind('}'); end != std::string::npos) response.body.insert(end, members);
}

Response json_single(const AnswerForm& form, WaitEnd how, const ImageSlot& slot, const RequestId& request) {
  if (const auto failure = failure_of(slot, how)) {
    Response response = failure_response(form, *failure, request);
    extend(response, ",\"name\":" + json_quote(slot.name) +
                         (slot.job.empty() ? std::string() : ",\"job\":" + json_quote(slot.job.str())));
    return response;
  }
  if (!slot.result) return pending_response(slot.job);
  return document_response(for_answer(form, *slot.result));
}

Response document_response(const JobResult& result, std::string cache_control) {
  Response response{.content_type = std::string(kJson),
                    .headers = {{"Cache-Control", std::move(cache_control)}},
                    .body = to_json(result) + "\n"};
  add_server_timing(response, result.timings);
  return response;
}

std::string text_line(Dialect dialect, const ImageSlot& slot) {
  const std::string& label = slot.result->labels.front().label;
  return dialect == Dialect::label ? label : answer_stem(slot.name) + ":" + label;
}

Response text_list(const AnswerForm& form, WaitEnd how, const std::vector<ImageSlot>& slots) {
  std::string body;
  for (const ImageSlot& slot : slots) {
    const auto failure = failure_of(slot, how);
    body += failure ? "error: " + failure->detail : text_line(form.dialect, slot);
    body += '\n';
  }
  return {.status = list_status(form, how), .headers = {}, .body = std::move(body)};
}

// Its clients know no pending jobs: what is not there by now comes too late.
Response shaped_response(const AnswerForm& form, WaitEnd how, const std::vector<ImageSlot>& slots,
                         const RequestId& request) {
  std::vector<const JobResult*> results;
  for (const ImageSlot& slot : slots) {
    if (const auto failure = failure_of(slot, how == WaitEnd::accepted ? WaitEnd::timed_out : how)) {
      return failure_response(form, *failure, request);
    }
    results.push_back(&*slot.result);
  }
  return form.shape->labels(results, request);
}

}  // namespace

Response error_response(const AnswerForm& form, const Error& error, const RequestId& request, Seconds retry_after) {
  return failure_response(form, failure_of(error), request, retry_after);
}

Response server_error_response(int status, std::string_view code, std::string_view detail, const RequestId& request) {
  return to_response({.type = error_type(code, status),
                      .status = status,
                      .code = code,
                      .title = error_title(code),
                      .detail = detail,
                      .retryable = status == 408 || status == kServiceUnavailable},
                     request);
}

Response images_response(const AnswerForm& form, WaitEnd how, const std::vector<ImageSlot>& slots,
                         const RequestId& request) {
  if (form.shape) return shaped_response(form, how, slots, request);
  const bool single = slots.size() == 1 && !form.is_list;
  if (form.style == Style::json) {
    return single ? json_single(form, how, slots.front(), request) : json_list(form, how, slots, request);
  }
  if (!single) return text_list(form, how, slots);
  if (const auto failure = failure_of(slots.front(), how)) return failure_response(form, *failure, request);
  return {.headers = {}, .body = text_line(form.dialect, slots.front())};
}

Response document_response(const JobResult& result) {
  return document_response(result, "no-store");
}

// Weak: what a worker answers and what it stores differ in the time of storing, which is known only after it.
Response stored_document_response(const JobResult& result, const Request& request) {
  Response response = document_response(result, "private, no-cache");
  const std::string identity = result.job.str() + " " + to_rfc3339(result.completed_at);
  add_etag(response, request, "W/\"" + sha256_hex(identity).substr(0, kEtagDigits) + '"');
  return response;
}

void add_etag(Response& response, const Request& request, std::string etag) {
  if (etag_matches(request.header("if-none-match").value_or(""), etag)) {
    response.status = 304;
    response.body.clear();
  }
  response.headers.emplace_back("ETag", std::move(etag));
}

Response json_response(std::string body) {
  return {.content_type = std::string(kJson), .headers = {{"Cache-Control", "no-store"}}, .body = std::move(body)};
}

Response pending_response(const JobId& job) {
  return {.status = 202,
          .content_type = std::string(kJson),
          .headers = {{"Location", job_location(job)}, {"Retry-After", "1"}, {"Cache-Control", "no-store"}},
          .body = "{\"job\":" + json_quote(job.str()) +
                  ",\"status\":\"pending\",\"location\":" + json_quote(job_location(job)) + "}\n"};
}

std::string job_location(const JobId& job) {
  return "/v1/jobs/" + job.str();
}

std::string answer_stem(std::string_view name) {
  std::string stem = file_stem(name);
  std::ranges::replace(stem, ':', '_');
  return stem;
}

}  // namespace imgrec
