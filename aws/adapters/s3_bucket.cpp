#include "aws/adapters/s3_bucket.hpp"

#include "aws/client/wire/xml.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

Error wrong_region(const std::string& bucket, const Error& error) {
  return {ErrorKind::invalid, "wrong_region",
          "The bucket " + bucket + " is in another region than this session. " + error.message};
}

Result<void> create_bucket(Session& session, const Endpoint& endpoint, const std::string& bucket,
                           const CallLimits& limits) {
  CallRequest request = bucket_call("CreateBucket", "PUT", endpoint);
  // "If you don't specify a region, the bucket is created in us-east-1", which cannot be named.
  if (session.region() != kDefaultRegion) {
    request.body = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
                   xml_escape(session.region()) + "</LocationConstraint></CreateBucketConfiguration>";
    request.headers = {{"Content-Type", "application/xml"}};
  }
  const auto done = session.caller("s3").call(request, limits.deadline, limits.stop);
  if (!done && done.error().aws_code == "BucketAlreadyOwnedByYou") return {};  // by another process, just now
  if (!done) return fail(done.error().error);
  log::info("bucket created", {{"bucket", bucket}, {"region", session.region()}});
  return {};
}

}  // namespace

CallRequest bucket_call(const char* operation, const char* method, const Endpoint& endpoint) {
  CallRequest out;
  out.name = {"s3", operation};
  out.endpoint = endpoint;
  out.method = method;
  return out;
}

Result<void> set_up_bucket(Session& session, const std::string& bucket, BucketSetup setup, const CallLimits& limits) {
  if (setup == BucketSetup::use) return {};
  const auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  const auto there =
      session.caller("s3").call(bucket_call("HeadBucket", "HEAD", *endpoint), limits.deadline, limits.stop);
  if (there) return {};
  // A HEAD's answer has no body, so no code says which kind of "no" it is.
  const CallFailure& failure = there.error();
  if (failure.status == 404 && setup == BucketSetup::create) {
    return create_bucket(session, *endpoint, bucket, limits);
  }
  if (failure.status == 404) {
    return fail(ErrorKind::not_found, "no_such_bucket",
                "There is no bucket " + bucket + " in region " + session.region() +
                    ". Create it, or check its name and the region. " + failure.error.message);
  }
  if (failure.status == 301 || failure.status == 400) return fail(wrong_region(bucket, failure.error));
  return fail(failure.error);
}

Result<void> delete_s3_bucket(Session& session, const std::string& bucket) {
  const auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  const auto done = session.caller("s3").call(bucket_call("DeleteBucket", "DELETE", *endpoint),
                                              Deadline::in(session.clock(), Millis(30'000)), {});
  if (done || done.error().status == 404) return {};
  return fail(done.error().error);
}

}  // namespace imgrec::aws
