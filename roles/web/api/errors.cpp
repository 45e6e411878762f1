#include "roles/web/api/errors.hpp"

#include <algorithm>
#include <array>

namespace imgrec {
namespace {

constexpr auto kErrorCodes = std::to_array<ErrorCode>({
    // The request.
    {"bad_request_line", 400,
     "The first line of the request is not METHOD TARGET HTTP/1.1. An HTTP library writes it correctly."},
    {"bad_line_break", 400, "The head of the request has a line break that is not CR LF. Use an HTTP library."},
    {"control_character", 400, "The head of the request has a control character. Percent-encode what is in the URL."},
    {"bad_target", 400,
     "The URL has characters that must be percent-encoded, or a % that no two hex digits follow. Encode the path and "
     "each value of the query."},
    {"bad_header", 400, "A header is not of the form Name: value. The detail says what is wrong with it."},
    {"bad_host", 400, "An HTTP/1.1 request has exactly one Host header, with a host and at most a port."},
    {"bad_framing", 400,
     "It cannot be told where the body ends: Content-Length and Transfer-Encoding contradict each other or are "
     "malformed. Send one of the two; a proxy on the way may have changed them."},
    {"bad_chunk", 400, "The chunked body is malformed or was cut off. Use an HTTP library to send it."},
    {"tls_on_plain_port", 400, "This port speaks plain HTTP. Write http:// rather than https://."},
    {"no_image", 400,
     "No image was found in the request. Send the image itself as the body, or multipart/form-data with a file field."},
    {"not_multipart", 400, "The body does not begin as multipart/form-data does. Let the HTTP library build the form."},
    {"bad_multipart", 400,
     "The form cannot be read: its boundary is missing or differs, or a part is malformed. Let the HTTP library set "
     "Content-Type, with the boundary that it chose."},
    {"bad_gzip", 400,
     "Content-Encoding says gzip, and the body is none, is damaged, or is more than one. Compress the whole body once, "
     "or "
     "send it as it is."},
    {"bad_top_k", 400, "top_k is a whole number from 1 to 1000."},
    {"bad_min_score", 400, "min_score is a number from 0 to 1."},
    {"bad_thumbnail", 400, "thumbnail is the longer side of a small picture in pixels, a whole number from 16 to 256."},
    {"bad_json", 400, "The body is not the JSON object that this operation takes; the detail says what is wrong."},
    {"bad_base64", 400, "The image is not in base64 of RFC 4648, without line breaks."},
    {"bad_limit", 400, "limit is a whole number; the detail says up to which."},
    {"unknown_series", 400, "There is no time series of that name. The detail lists those there are."},
    {"bad_since", 400, "since is a time: whole seconds since 1970, or 2026-11-22T08:15:30Z (RFC 3339, UTC)."},
    {"bad_resolution", 400, "resolution is second (the last hour) or minute (the last day)."},
    {"bad_cursor", 400, "Use a cursor as an earlier page gave it; it cannot be made up."},
    {"bad_state", 400, "state is one of queued, running, done, failed, cancelled and expired."},
    {"bad_session", 400, "A session has 1 to 64 letters, digits, - and _."},
    {"no_session", 400,
     "Jobs are listed for one session: name it in X-Session-Id or ?session=, as when the images were sent. Browsers "
     "have "
     "it in a cookie."},
    {"bad_idempotency_key", 400,
     "Idempotency-Key has 1 to 255 printable characters and no spaces. A UUID is a good one."},
    {"bad_parameter", 400, "A parameter of DetectLabels is missing, out of its range, or not done here."},
    {"bad_object_reference", 400,
     "The object cannot be read as it is named: the bucket, key or version has a form that no store takes, or the "
     "bucket is in another region. The detail says which."},
    {"unknown_operation", 400, "The only operation of Amazon Rekognition here is DetectLabels."},
    {"bad_inference_request", 400,
     "The inference request is not as GET /v2/models/MODEL says: one input, image or tensor, of its datatype and "
     "shape."},
    {"bad_tensor", 400,
     "The tensor cannot be the network's input: it has another size than the model takes, or numbers that are not "
     "finite or beyond 10,000."},
    {"key_needed", 401,
     "The service asks for a key, and none was sent. Send it as Authorization: Bearer KEY or X-Api-Key: KEY. Whoever "
     "runs the service makes one with imgrec key create."},
    {"bad_key", 401,
     "The key is unknown here, was revoked, or has lost a part of it: it begins with imgrec_ and has 84 characters. "
     "Ask "
     "whoever runs the service for another."},
    {"role_needed", 403,
     "The key is good, and its role does not allow this; the detail says which does. Ask whoever runs the service for "
     "a "
     "key of that role."},
    {"bucket_not_allowed", 403,
     "The service reads no objects of this bucket: whoever runs it names those that it reads in image.object_buckets. "
     "Send the image's bytes instead."},
    {"other_site", 403,
     "A page of another site sent this, and only this service's own pages and programs may. Behind a proxy, set "
     "web.public_url to the address that browsers use."},
    {"not_found", 404, "There is nothing at this path. /docs lists what there is."},
    {"unknown_job", 404,
     "There is no job of this id, it is another session's, or its result is no longer kept. Ids come from the answer "
     "to the request that sent the image."},
    {"unknown_dead_letter", 404,
     "There is no dead letter of this id, or somebody else looks at it right now. List the dead letters anew."},
    {"unknown_model", 404, "The service has one model; the detail names it. Leave the model out, or name that one."},
    {"method_not_allowed", 405, "The path is right and the method is not. The header Allow lists those that it takes."},
    {"request_timeout", 408, "The request came too slowly. Send it again; on a slow line, send a smaller image."},
    {"body_too_slow", 408, "The body came too slowly. Send it again; on a slow line, send a smaller image."},
    {"cancelled", 409, "A client cancelled this job before it had a result. Send the image again if it is wanted."},
    {"too_late", 409, "The job has a result already, so it cannot be cancelled. Its state says which."},
    {"image_gone", 409,
     "The image of this dead letter is no longer in the store, so it cannot be sent again. Drop the letter."},
    {"job_cancelled", 409, "A client cancelled the job of this dead letter. Drop the letter."},
    {"job_done", 409, "The job of this dead letter has labels already. Drop the letter."},
    {"image_too_large", 413,
     "The image has more bytes than image.bytes_max allows, or more pixels than image.pixels_max. Send a smaller copy: "
     "models look at a few hundred pixels a side."},
    {"too_many_images", 413, "Send fewer images at once: at most web.images_per_request_max."},
    {"too_many_parts", 413, "The form has more fields than a request of this service needs. Send fewer at once."},
    {"object_too_large", 413, "What was read from the store has more bytes than are allowed. Send a smaller copy."},
    {"body_too_large", 413, "The body has more bytes than web.body_bytes_max allows. Send fewer images at once."},
    {"unsupported_format", 415,
     "The first bytes are those of no image that is understood here. Convert it to JPEG, PNG, WebP, BMP, GIF, TIFF, "
     "HEIC or AVIF. The name and Content-Type do not matter."},
    {"unsupported_content_encoding", 415,
     "The body is compressed in a way that is not undone here. Accept-Encoding in the answer lists what is; images "
     "need "
     "none, as their formats compress them."},
    {"expectation_failed", 417, "The only expectation understood is 100-continue. Leave the header Expect out."},
    {"unknown_host", 421,
     "The service does not know itself by the name in the Host header, and listens for its own machine alone. Call it "
     "by localhost or an address, or add the name to web.hosts."},
    {"image_truncated", 422,
     "The image file is cut off, perhaps by a download that ended early. Send the whole file. image.truncated = "
     "\"accept\" makes the service classify the part that is there."},
    {"image_corrupt", 422, "The image file is damaged. Sending it again gives the same answer."},
    {"image_empty", 422,
     "The image has no bytes. Check that the file is not empty, and was not read to its end before it was sent."},
    {"object_not_found", 422,
     "The object that the request names is not there, or not in this version. Check bucket, key and version; letters "
     "count as they are written."},
    {"object_denied", 422,
     "The service's workers may not read this object. Whoever runs the service grants their role s3:GetObject for it, "
     "as configs/iam/README.md says."},
    {"idempotency_key_reused", 422,
     "Another request had this Idempotency-Key within 24 hours. Each request needs a key of its own; only the same "
     "request "
     "sent again has the same."},
    {"rate_exceeded", 429,
     "The key may send so many images a second, on average; the header RateLimit-Policy says how many. Send the "
     "request "
     "again after the seconds that Retry-After says."},
    {"quota_exceeded", 429,
     "The key may send so many images a day (UTC), and has none left for this request. Wait until midnight, as "
     "Retry-After says, or ask whoever runs the service for more."},
    {"headers_too_large", 431, "The head of the request is larger than web.header_bytes_max. Send fewer cookies."},
    {"too_many_headers", 431, "The request has too many headers. Send fewer."},
    // The service.
    {"poison", 500,
     "The image was tried alone and ended its worker each time; it is not tried again. Please report it, with the "
     "image and the request id."},
    {"internal_error", 500, "A fault of the service. Report it with the request id: the server's log has more."},
    {"method_not_implemented", 501, "HTTP has no such method, or this server does not know it."},
    {"coding_not_implemented", 501, "The only Transfer-Encoding understood is chunked."},
    {"overloaded", 503,
     "More images wait than are classified in time. Send it again after the seconds that Retry-After says; workers are "
     "being started where the limits allow it."},
    {"too_many_readers", 503,
     "This node sends events to as many readers as it has places for. Ask again later, or ask for /v1/status now and "
     "then."},
    {"stopping", 503, "The server stops or restarts. Send the request again."},
    {"memory_full", 503, "Too many large uploads are in progress. Send it again in a moment."},
    {"upload_too_slow", 503, "Memory for uploads ran out, and this upload was the slowest. Send it again in a moment."},
    {"unavailable", 503,
     "The store, the queue or the workers do not work at the moment; the code says which error it was. Nothing was "
     "kept. Send it again later; whoever runs the service finds the cause in its log and with imgrec doctor."},
    {"wait_too_long", 504,
     "No worker answered within the longest wait (web.wait_max). Send the image again; imgrec doctor says whether "
     "workers can run."},
    {"expired", 504, "No worker answered this job in its time (web.job_ttl). Send the image again."},
    {"version_not_supported", 505, "This server speaks HTTP/1.1 and HTTP/1.0."},
});

}  // namespace

std::span<const ErrorCode> error_codes() {
  return kErrorCodes;
}

const ErrorCode* find_error_code(std::string_view code) {
  const auto* found = std::ranges::find(kErrorCodes, code, &ErrorCode::code);
  return found == kErrorCodes.end() ? nullptr : found;
}

int status_of(std::string_view code, bool retryable) {
  if (const ErrorCode* known = find_error_code(code)) return known->status;
  if (code.starts_with("image_")) return 422;
  return retryable ? kServiceUnavailable : 500;
}

std::string error_type(std::string_view code, int status) {
  const std::string_view page = find_error_code(code) ? code
                                : status == 422       ? "image_corrupt"
                                : status >= 501       ? "unavailable"
                                                      : "internal_error";
  return "/docs/errors/" + std::string(page);
}

std::string error_title(std::string_view code) {
  std::string title(code);
  std::ranges::replace(title, '_', ' ');
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

}  // namespace imgrec
