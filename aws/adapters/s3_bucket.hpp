// Buckets of Amazon S3: made, checked and deleted. What is in them is s3_store's.
#pragma once

#include <map>
#include <span>
#include <string>

#include "aws/client/session.hpp"

namespace imgrec::aws {

/// What S3 lists, and removes, in one call.
inline constexpr int kPageMax = 1000;

struct XmlElement;

enum class BucketSetup {
  use,     // no call before the first use
  check,   // not_found "no_such_bucket", denied "access_denied", invalid "wrong_region" before any use
  create,  // made in the session's region, closed to the public, when it is not there
};

struct BucketOptions {
  std::string name;
  BucketSetup setup = BucketSetup::check;
  // Of a bucket that is made here; one that is there is left as it is.
  std::string kms_key{};  // encrypts what is put without naming a key; empty: S3's own keys
  std::map<std::string, std::string> tags{};
};

/// A call about the bucket itself; endpoint: as of bucket_endpoint().
CallRequest bucket_call(const char* operation, const char* method, const Endpoint& endpoint);

/// Lets the call succeed with a document of that root alone, which is put into `document`: S3's answers can begin with
/// status 200 and turn into an error, or end early. Both outlive the call.
CallRequest& expect_document(CallRequest& call, const char* root_name, XmlElement& document);

struct ObjectVersion {
  std::string key;
  std::string id;  // empty: no version is named
  bool operator==(const ObjectVersion&) const = default;
};

/// Removes up to 1000 in one call, whose answer ("DeleteResult") names those that are left.
CallRequest delete_objects_call(const Endpoint& endpoint, std::span<const ObjectVersion> versions);

/// Errors: as said at BucketSetup, denied "bucket_taken", and the transport's. Where a bucket was made and could not be
/// tagged or given its key, the error says so.
Result<void> set_up_bucket(Session& session, const BucketOptions& options, const CallLimits& limits);

/// Deletes the empty bucket, for tear-down; one that is not there is a success. invalid "bucket_not_empty".
Result<void> delete_s3_bucket(Session& session, const std::string& bucket);

}  // namespace imgrec::aws
