// How answers are worded: JSON and problem+json for programs, plain text for the compatibility routes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/http/server/server.hpp"
#include "lib/job/job.hpp"
#include "roles/web/api/intake.hpp"
#include "roles/web/compat/answer_shape.hpp"
#include "roles/web/results/pending_request.hpp"

namespace imgrec {

enum class Style { json, text };

struct AnswerForm {
  Style style = Style::json;
  Dialect dialect = Dialect::label;
  /// A compatibility route: its clients take 503 for the end, so it becomes 504.
  bool held = false;
  bool is_list = false;                        // {"results":[…]} also for one image
  double min_score = 0;                        // labels of a lower score are left out of JSON
  std::shared_ptr<const AnswerShape> shape{};  // another service's words, in the place of all this
};

/// An error of the whole request; a 503 says when to try again.
Response error_response(const AnswerForm& form, const Error& error, const RequestId& request,
                        Seconds retry_after = Seconds(2));

/// What the HTTP server refuses by itself, before any handler: framing, limits, time-outs.
Response server_error_response(int status, std::string_view code, std::string_view detail, const RequestId& request);

/// The answer to a request with images, ended as `how` says: for one image its result document, problem or label; for
/// several {"results":[…]} or {"jobs":[…]}, or lines, in the order sent.
Response images_response(const AnswerForm& form, WaitEnd how, const std::vector<ImageSlot>& slots,
                         const RequestId& request);

/// 200 and JSON of this moment, which no cache keeps.
Response json_response(std::string body);

/// 200 and the result document, be it labels or an error.
Response document_response(const JobResult& result);

/// The same for who reads it again: a client may keep it and ask whether it has changed (add_etag).
Response stored_document_response(const JobResult& result, const Request& request);

/// Adds the entity tag; 304 without a body when the client has it.
void add_etag(Response& response, const Request& request, std::string etag);

/// {"job":…,"status":"pending","location":…} and 202.
Response pending_response(const JobId& job);

std::string job_location(const JobId& job);

/// "a/b:c.JPEG" → "b_c": the part before the colon of a 2026 answer.
std::string answer_stem(std::string_view name);

}  // namespace imgrec
