// Signature Version 4, in the Authorization header or in the query (presigned).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
// Pure: the instant, the credentials and the region are arguments.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "aws/client/uri.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/secret.hpp"
#include "lib/base/units.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec::aws {

struct Credentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;                // empty: long-lived keys
  std::optional<WallTime> expires_at;  // nothing: never
  std::string account_id;              // where the source tells it
  std::string source;                  // "environment", "profile prod", "IMDS": for people
};

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

struct Signable {
  std::string method;
  std::string path;            // as on the wire: percent-encoded, begins with '/'
  QueryPairs query;            // not encoded
  HttpHeaders headers;         // must hold Host; those that proxies change are not signed
  std::string payload_sha256;  // hex, or kUnsignedPayload
};

class SigningKeys;

struct SigningOptions {
  std::string region;
  std::string service;
  WallTime at{};
  bool encode_path_twice = true;
  bool normalize_path = true;        // "/a/../b//c" is signed as "/b/c"
  bool payload_hash_header = false;  // adds X-Amz-Content-Sha256
  bool sign_session_token = true;    // false: sent, but not part of the signature
  Seconds expires{900};              // presigned only; up to 7 days
  SigningKeys* keys = nullptr;       // where the day's key is kept for the next request; null: nowhere
};

/// The last signing key: the same for all requests of a day to one service and region with the same credentials, and
/// dearer than the signature itself. Thread-safe.
class SigningKeys {
 public:
  /// day: "20150830".
  Sha256Digest get(const Secret& secret, std::string_view day, const SigningOptions& options);

 private:
  std::mutex mutex_;
  Secret secret_;
  std::string day_, region_, service_;
  Sha256Digest key_{};
};

/// The rules of the service: S3 signs the path as it is sent and always names the payload's hash.
SigningOptions signing_options(std::string service, std::string region, WallTime at);

/// The stages, for tests and for comparing with what AWS says it computed.
struct Signed {
  HttpHeaders headers;  // to add to the request (header signing)
  QueryPairs query;     // to append to the query (presigning)
  std::string canonical_request;
  std::string string_to_sign;
  std::string signature;
};

Signed sign(const Signable& request, const Credentials& credentials, const SigningOptions& options);
Signed presign(const Signable& request, const Credentials& credentials, const SigningOptions& options);

}  // namespace imgrec::aws
