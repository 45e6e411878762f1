// One place that signs, sends, understands the answer and tries again: every call to AWS goes through it.
//
// Threads   safe; call() blocks until its deadline at most, sleeping on the Clock between attempts.
// Secrets   neither bodies nor credentials are ever logged or put into an Error.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "aws/client/clock_skew.hpp"
#include "aws/client/endpoints.hpp"
#include "aws/client/error_table.hpp"
#include "aws/client/retry.hpp"
#include "aws/client/sigv4.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec::aws {

class CredentialsProvider {
 public:
  virtual ~CredentialsProvider() = default;
  /// Thread-safe; may block for as long as its sources take. Errors: denied "no_credentials", else as the source's.
  virtual Result<Credentials> get(std::stop_token stop) = 0;
  /// AWS refused these: the next get() asks the source again.
  virtual void invalidate(const Credentials& used) = 0;
};

/// Keys that never change.
class FixedCredentials final : public CredentialsProvider {
 public:
  explicit FixedCredentials(Credentials credentials) : credentials_(std::move(credentials)) {}
  Result<Credentials> get(std::stop_token) override { return credentials_; }
  void invalidate(const Credentials&) override {}

 private:
  const Credentials credentials_;
};

struct CallRequest {
  CallName name;
  Endpoint endpoint;
  std::string method = "POST";
  std::string path = "/";  // after the endpoint's base path; percent-encoded
  QueryPairs query;
  HttpHeaders headers;
  std::string body;
  ByteView borrowed_body;      // when it is not empty, sent instead of body, without a copy; lives until call() returns
  std::string payload_sha256;  // of the body, in hex, where it is known already
  /// Looks at an answer of status 2xx: the error, when it is none that may be believed (cut off, damaged, an error in
  /// disguise). It is tried again when the error is transient, and the call is idempotent.
  std::function<Result<void>(const HttpClientResponse& response)> check;
  bool idempotent = true;  // false: tried again only when the call surely did nothing
  bool long_poll = false;  // an idle receiver: waits its back-off even when the retry quota is spent
  Millis timeout{30'000};  // of one attempt
  Millis stop_grace{0};    // as HttpClientRequest::stop_grace
  bool direct = false;     // as HttpClientRequest::direct
  std::uint64_t response_bytes_max = 16 * kMiB;
};

struct CallFailure {
  Error error;
  std::string aws_code;  // empty: no service answered
  int status = 0;        // 0: no answer
};

/// For adapters that tell cases apart which ErrorKind does not: the response, or the failure with AWS's own code.
using CallResult = std::expected<HttpClientResponse, CallFailure>;

struct CallerOptions {
  std::string service;  // the signing name
  RetryOptions retry;
  Millis initial_clock_skew{0};
};

class Caller {
 public:
  /// http, credentials (null: requests are not signed), clock and rng outlive it.
  Caller(CallerOptions options, HttpClient& http, CredentialsProvider* credentials, Clock& clock, Rng& rng)
      : options_(std::move(options)),
        http_(http),
        credentials_(credentials),
        clock_(clock),
        rng_(rng),
        skew_(options_.initial_clock_skew) {}

  CallResult call(const CallRequest& request, Deadline deadline, std::stop_token stop);

  Millis clock_skew() const { return skew_.value(); }
  int retry_quota() const { return quota_.left(); }

 private:
  struct Attempt {
    std::optional<HttpClientResponse> success;
    CallFailure failure;
    RetryClass retry = RetryClass::none;
    bool sign_again = false;  // at once: the clock was wrong
    bool renew = false;       // at once, with fresh credentials
    std::string retry_after;
  };
  Attempt attempt(const CallRequest& request, const Credentials* credentials, HttpHeaders tracking, Deadline deadline,
                  std::stop_token stop);
  HttpClientRequest prepare(const CallRequest& request, const Credentials* credentials, HttpHeaders headers,
                            WallTime at);
  void judge(const CallRequest& request, const HttpClientResponse& response, Millis used, std::optional<Millis> learnt,
             Attempt& out) const;
  /// True: try again now. False: the failure stands.
  bool may_retry(const CallRequest& request, const Attempt& failed, int number, int& taken, Deadline deadline,
                 std::stop_token stop);

  const CallerOptions options_;
  HttpClient& http_;
  CredentialsProvider* const credentials_;
  Clock& clock_;
  Rng& rng_;
  RetryQuota quota_;
  ClockSkew skew_;
  SigningKeys signing_keys_;
};

}  // namespace imgrec::aws
