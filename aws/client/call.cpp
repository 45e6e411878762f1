#include "aws/client/call.hpp"

#include <algorithm>
#include <iterator>

#include "lib/base/digest.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

constexpr std::size_t kSigningHeadersMax = 5;  // and Host

// A random UUID (RFC 9562, version 4): tells AWS which attempts belong together.
std::string invocation_id(Rng& rng) {
  std::string hex = random_hex(rng, 16);
  hex[12] = '4';
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) % 4];
  for (const std::size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

ByteView body_of(const CallRequest& request) {
  return request.borrowed_body.empty() ? ByteView(request.body) : request.borrowed_body;
}

// A transport error in which the request may have been carried out.
bool may_have_happened(const Error& error) {
  return error.code != "connection_failed";
}

}  // namespace

HttpClientRequest Caller::prepare(const CallRequest& request, const Credentials* credentials, HttpHeaders headers,
                                  WallTime at) {
  HttpClientRequest out;
  const std::string path = request.endpoint.base_path + request.path;
  out.method = request.method;
  out.url = request.endpoint.scheme + "://" + request.endpoint.authority + path;
  if (!request.query.empty()) out.url += "?" + to_query_string(request.query);
  out.headers.reserve(request.headers.size() + headers.size() + kSigningHeadersMax);
  out.headers = request.headers;
  std::ranges::move(headers, std::back_inserter(out.headers));
  if (credentials != nullptr) {
    Signable signable{
        .method = request.method,
        .path = path,
        .query = request.query,
        .headers = std::move(out.headers),
        .payload_sha256 = request.payload_sha256.empty() ? sha256_hex(body_of(request)) : request.payload_sha256};
    signable.headers.emplace_back("Host", request.endpoint.authority);
    SigningOptions options = signing_options(options_.service, request.endpoint.signing_region, at);
    options.keys = &signing_keys_;
    Signed done = sign(signable, *credentials, options);
    out.headers = std::move(signable.headers);
    out.headers.pop_back();  // Host: the HTTP client's own
    std::ranges::move(done.headers, std::back_inserter(out.headers));
  }
  out.borrowed_body = body_of(request);  // the request outlives its attempts
  out.response_bytes_max = request.response_bytes_max;
  return out;
}

void Caller::judge(const CallRequest& request, const HttpClientResponse& response, Millis used,
                   std::optional<Millis> learnt, Attempt& out) const {
  const ServiceError error = parse_service_error(response);
  Classified classified = classify(request.name, response.status, error);
  out.failure = {.error = std::move(classified.error), .aws_code = error.code, .status = response.status};
  out.retry = classified.retry;
  out.retry_after = header_value(response.headers, "x-amz-retry-after");
  out.sign_again = is_clock_skew_error(error.code, used, learnt);
  out.renew = is_credentials_error(error.code);
  // A 5xx may be the answer of a proxy to a call that AWS carried out.
  if (!request.idempotent && out.retry == RetryClass::transient) out.retry = RetryClass::none;
}

Caller::Attempt Caller::attempt(const CallRequest& request, const Credentials* credentials, HttpHeaders tracking,
                                Deadline deadline, std::stop_token stop) {
  Attempt out;
  const Millis used = skew_.value();
  const WallTime sent_at = clock_.wall_now();
  HttpClientRequest http_request = prepare(request, credentials, std::move(tracking), sent_at + used);
  http_request.timeout = std::min(request.timeout, deadline.left(clock_));
  http_request.stop_grace = request.stop_grace;
  http_request.direct = request.direct;
  http_request.connect_timeout = std::min(http_request.connect_timeout, http_request.timeout);
  http_request.stall_timeout = std::max(http_request.stall_timeout, request.timeout);
  auto response = http_.send(http_request, stop);
  if (!response) {
    const Error& error = response.error();
    out.failure = {.error = {error.kind, error.code, display_name(request.name) + " failed: " + error.message},
                   .aws_code = {}};
    const bool again = error.kind == ErrorKind::transient && (request.idempotent || !may_have_happened(error));
    out.retry = again ? RetryClass::transient : RetryClass::none;
    return out;
  }
  const auto learnt = skew_.learn(sent_at, clock_.wall_now(), response->headers);
  if (response->status < 200 || response->status > 299) {
    judge(request, *response, used, learnt, out);
    return out;
  }
  const Result<void> good = request.check ? request.check(*response) : Result<void>();
  if (good) {
    out.success = *std::move(response);
    return out;
  }
  const bool again = request.idempotent && good.error().kind == ErrorKind::transient;
  out.failure = {.error = good.error(), .aws_code = {}, .status = response->status};
  out.retry = again ? RetryClass::transient : RetryClass::none;
  return out;
}

bool Caller::may_retry(const CallRequest& request, const Attempt& failed, int number, int& taken, Deadline deadline,
                       std::stop_token stop) {
  if (failed.retry == RetryClass::none || number >= options_.retry.attempts_max) return false;
  const Millis delay = retry_delay(failed.retry, number, rng_.next_unit(), failed.retry_after, options_.retry);
  if (delay >= deadline.left(clock_)) return false;
  const int cost = retry_cost(failed.retry);
  if (!quota_.take(cost)) {
    if (request.long_poll) clock_.sleep_for(delay, stop);
    return false;
  }
  taken = cost;
  log::debug("aws call is tried again", {{"call", display_name(request.name)},
                                         {"attempt", number},
                                         {"code", failed.failure.error.code},
                                         {"delay_ms", delay.count()}});
  return clock_.sleep_for(delay, stop);
}

CallResult Caller::call(const CallRequest& request, Deadline deadline, std::stop_token stop) {
  const std::string invocation = invocation_id(rng_);
  int taken = 0;
  bool renewed = false;
  for (int number = 1;; ++number) {
    std::optional<Credentials> credentials;
    if (credentials_ != nullptr) {
      auto got = credentials_->get(stop);
      if (!got) return std::unexpected(CallFailure{.error = got.error(), .aws_code = {}});
      credentials = *std::move(got);
    }
    if (deadline.left(clock_) <= Millis(0)) {
      return std::unexpected(CallFailure{
          .error = {ErrorKind::transient, "timeout", display_name(request.name) + " failed: its deadline passed."},
          .aws_code = {}});
    }
    HttpHeaders tracking = {{"amz-sdk-invocation-id", invocation},
                            {"amz-sdk-request", "attempt=" + std::to_string(number) +
                                                    "; max=" + std::to_string(options_.retry.attempts_max)}};
    Attempt done = attempt(request, credentials ? &*credentials : nullptr, std::move(tracking), deadline, stop);
    if (done.success) {
      quota_.give(taken > 0 ? taken : 1);
      return *std::move(done.success);
    }
    if (stop.stop_requested()) {
      return std::unexpected(CallFailure{
          .error = {ErrorKind::cancelled, "cancelled", display_name(request.name) + " was stopped."}, .aws_code = {}});
    }
    if (done.renew && credentials) credentials_->invalidate(*credentials);
    const bool has_attempts = number < options_.retry.attempts_max;
    if (has_attempts && done.sign_again) continue;
    if (has_attempts && done.renew && credentials && !renewed) {
      renewed = true;
      continue;
    }
    if (!may_retry(request, done, number, taken, deadline, stop)) return std::unexpected(std::move(done.failure));
  }
}

}  // namespace imgrec::aws
