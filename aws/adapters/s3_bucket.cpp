#include "aws/adapters/s3_bucket.hpp"

#include "aws/client/encoding.hpp"
#include "aws/client/error_table.hpp"
#include "aws/client/wire/xml.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

Error wrong_region(const std::string& bucket, const Error& error) {
  return {ErrorKind::invalid, "wrong_region",
          "The bucket " + bucket + " is in another region than this session. " + error.message};
}

// S3 wants a checksum with each document.
void add_checksum(CallRequest& request) {
  request.payload_sha256 = sha256_hex(request.body);
  request.headers = {{"Content-Type", "application/xml"},
                     {"x-amz-sdk-checksum-algorithm", "SHA256"},
                     {"x-amz-checksum-sha256", base64_of_hex(request.payload_sha256)}};
}

// Sets a property of the bucket.
Result<void> put_property(Session& session, CallRequest request, const CallLimits& limits) {
  add_checksum(request);
  const auto done = session.caller("s3").call(request, limits.deadline, limits.stop);
  if (done) return {};
  Error error = done.error().error;
  error.message = "The bucket was made, but not finished: delete it while it is empty and try again. " + error.message;
  return fail(std::move(error));
}

Result<void> put_tags(Session& session, const Endpoint& endpoint, const BucketOptions& options,
                      const CallLimits& limits) {
  if (options.tags.empty()) return {};
  CallRequest request = bucket_call("PutBucketTagging", "PUT", endpoint);
  request.query = {{"tagging", ""}};
  request.body = "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>";
  for (const auto& [name, value] : options.tags) {
    request.body += "<Tag><Key>" + xml_escape(name) + "</Key><Value>" + xml_escape(value) + "</Value></Tag>";
  }
  request.body += "</TagSet></Tagging>";
  return put_property(session, std::move(request), limits);
}

Result<void> put_encryption(Session& session, const Endpoint& endpoint, const BucketOptions& options,
                            const CallLimits& limits) {
  if (options.kms_key.empty()) return {};
  CallRequest request = bucket_call("PutBucketEncryption", "PUT", endpoint);
  request.query = {{"encryption", ""}};
  request.body =
      "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>"
      "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>" +
      xml_escape(options.kms_key) +
      "</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"
      "</ServerSideEncryptionConfiguration>";
  return put_property(session, std::move(request), limits);
}

Result<void> create_bucket(Session& session, const Endpoint& endpoint, const BucketOptions& options,
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
  log::info("bucket created", {{"bucket", options.name}, {"region", session.region()}});
  if (auto tagged = put_tags(session, endpoint, options, limits); !tagged) return tagged;
  return put_encryption(session, endpoint, options, limits);
}

}  // namespace

CallRequest bucket_call(const char* operation, const char* method, const Endpoint& endpoint) {
  CallRequest out;
  out.name = {"s3", operation};
  out.endpoint = endpoint;
  out.method = method;
  return out;
}

CallRequest& expect_document(CallRequest& call, const char* root_name, XmlElement& document) {
  call.check = [&document, root_name, name = call.name](const HttpClientResponse& response) -> Result<void> {
    auto parsed = parse_xml(response.body);
    if (parsed && parsed->name == root_name) {
      document = *std::move(parsed);
      return {};
    }
    if (parsed && parsed->name == "Error") {
      Classified classified = classify(name, 500, parse_service_error(response));
      if (classified.error.kind != ErrorKind::throttled) classified.error.kind = ErrorKind::transient;
      return fail(std::move(classified.error));
    }
    return fail(ErrorKind::transient, "bad_response",
                display_name(name) + " failed: the answer is cut off, or not from S3. Check proxies on the way.");
  };
  return call;
}

CallRequest delete_objects_call(const Endpoint& endpoint, std::span<const ObjectVersion> versions) {
  CallRequest request = bucket_call("DeleteObjects", "POST", endpoint);
  request.query = {{"delete", ""}};
  request.body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
  for (const ObjectVersion& one : versions) {
    request.body += "<Object><Key>" + xml_escape(one.key) + "</Key>" +
                    (one.id.empty() ? "" : "<VersionId>" + xml_escape(one.id) + "</VersionId>") + "</Object>";
  }
  request.body += "</Delete>";
  add_checksum(request);
  return request;
}

Result<void> set_up_bucket(Session& session, const BucketOptions& options, const CallLimits& limits) {
  if (options.setup == BucketSetup::use) return {};
  const std::string& bucket = options.name;
  const auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  const auto there =
      session.caller("s3").call(bucket_call("HeadBucket", "HEAD", *endpoint), limits.deadline, limits.stop);
  if (there) return {};
  // A HEAD's answer has no body, so no code says which kind of "no" it is.
  const CallFailure& failure = there.error();
  if (failure.status == 404 && options.setup == BucketSetup::create) {
    return create_bucket(session, *endpoint, options, limits);
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
