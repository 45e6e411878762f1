#include "aws/adapters/s3_object.hpp"

#include <algorithm>
#include <utility>

#include "aws/client/encoding.hpp"
#include "lib/base/digest.hpp"

namespace imgrec::aws {
namespace {

constexpr std::uint64_t kErrorBytesMax = 64 * kKiB;  // errors come in the body too
constexpr Millis kReadDeadline{60'000};              // of one read, with its retries

class S3Reader final : public ObjectReader {
 public:
  explicit S3Reader(Session& session) : session_(session) {}

  Result<std::string> read(const ObjectReference& object, std::uint64_t bytes_max, const CallLimits& limits) override {
    if (auto checked = check_object_reference(object); !checked) return fail(checked.error());
    const auto endpoint = bucket_endpoint(session_.endpoints(), object.bucket);
    if (!endpoint) return fail(endpoint.error());
    auto got = get_object(session_.caller("s3"), *endpoint,
                          {.key = object.key, .version = object.version, .bytes_max = bytes_max},
                          limits.at_most(session_.clock(), kReadDeadline));
    if (!got) return fail(got.error());
    return std::move(got->bytes);
  }

 private:
  Session& session_;
};

}  // namespace

std::string path_of(const ObjectKey& key) {
  return "/" + uri_encode(key.str(), Slash::keep);
}

CallRequest object_call(const char* operation, const char* method, const Endpoint& endpoint, const ObjectKey& key) {
  CallRequest out = bucket_call(operation, method, endpoint);
  out.path = path_of(key);
  return out;
}

Error no_such_object(const Error& error) {
  return {ErrorKind::not_found, "no_such_object", error.message};
}

Result<StoredObject> get_object(Caller& caller, const Endpoint& endpoint, const ObjectAsked& what,
                                const CallLimits& limits) {
  if (auto checked = check_object_key(what.key.str()); !checked) return fail(checked.error());
  CallRequest request = object_call("GetObject", "GET", endpoint, what.key);
  if (!what.version.empty()) request.query = {{"versionId", what.version}};
  request.timeout = what.attempt_timeout;
  request.headers = {{"x-amz-checksum-mode", "ENABLED"}};
  request.response_bytes_max = std::max(what.bytes_max, kErrorBytesMax);
  request.check = [](const HttpClientResponse& response) -> Result<void> {
    // Length and framing are libcurl's to check. A checksum of parts ("…-3") is none of the whole.
    const std::string checksum = header_value(response.headers, "x-amz-checksum-sha256");
    if (checksum.empty() || checksum.find('-') != std::string::npos ||
        base64_of_hex(sha256_hex(response.body)) == checksum) {
      return {};
    }
    return fail(ErrorKind::transient, "corrupted_in_transit",
                "S3 GetObject failed: the bytes received are not those stored. Check the network or its proxies.");
  };
  auto got = caller.call(request, limits.deadline, limits.stop);
  const auto too_large = [&] {
    return fail(ErrorKind::invalid, "object_too_large",
                "The object has more than the " + std::to_string(what.bytes_max) + " bytes allowed.");
  };
  if (got && got->body.size() > what.bytes_max) return too_large();
  if (got) return StoredObject{std::move(got->body), header_value(got->headers, "etag")};
  const Error& error = got.error().error;
  if (error.code == "response_too_large") return too_large();
  if (got.error().status == 404 && got.error().aws_code != "NoSuchBucket") return fail(no_such_object(error));
  return fail(error);
}

std::unique_ptr<ObjectReader> make_s3_reader(Session& session) {
  return std::make_unique<S3Reader>(session);
}

}  // namespace imgrec::aws
