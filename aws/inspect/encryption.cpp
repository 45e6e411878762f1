#include "aws/inspect/encryption.hpp"

#include "aws/client/uri.hpp"
#include "aws/client/wire/service_error.hpp"

namespace imgrec::aws {

Result<ObjectEncryption> encryption_of(Session& session, const std::string& bucket, const ObjectKey& key,
                                       const CallLimits& limits) {
  auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  CallRequest request;
  request.name = {"s3", "HeadObject"};
  request.endpoint = *std::move(endpoint);
  request.method = "HEAD";
  request.path = "/" + uri_encode(key.str(), Slash::keep);
  const auto got = session.caller("s3").call(request, limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  return ObjectEncryption{.algorithm = header_value(got->headers, "x-amz-server-side-encryption"),
                          .kms_key = header_value(got->headers, "x-amz-server-side-encryption-aws-kms-key-id")};
}

}  // namespace imgrec::aws
