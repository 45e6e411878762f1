// An object store in one Amazon S3 bucket; semantics as in lib/ports/object_store.hpp.
//
// Checks    every put carries its SHA-256, which S3 compares; every get compares length and SHA-256 of what arrived.
//           What was damaged on the way is tried again, then transient "corrupted_in_transit".
// Rights    s3:PutObject, s3:GetObject, s3:DeleteObject, and s3:ListBucket also for readers: without it S3 answers
//           "denied" instead of "not there".
// Conditions  (only_if_absent, if_match) are S3's. Where the service refuses them (501 NotImplemented), or a probe
// finds
//           that it ignores them, the object is looked at before each put instead: then of two puts at the same moment
//           the later one wins, whatever it was told. That is logged once.
// Bucket    in the host name where that is possible, else in the path (see bucket_endpoint()).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "aws/adapters/s3_bucket.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec::aws {

struct S3StoreOptions {
  std::string bucket;
  BucketSetup setup = BucketSetup::check;
  Millis call_deadline{60'000};               // of one put, get, …, with its retries
  Millis attempt_timeout{30'000};             // of each try: more for objects that take longer to send
  std::stop_token stop{};                     // ends the opening, not the store
  std::string kms_key{};                      // id, ARN or alias: encrypts every object put; empty: as the bucket says
  std::map<std::string, std::string> tags{};  // of a bucket that is made
  /// The service may be one that speaks S3 and ignores conditions of a put. Costs one more put, once.
  bool probe_conditions = false;
};

/// The headers of a put that has the object encrypted with that key (SSE-KMS, by a bucket key: fewer calls of KMS).
/// None for an empty key. https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
HttpHeaders s3_encryption_headers(const std::string& kms_key);

/// Errors: invalid "bad_bucket"; with check and create as said there, denied "bucket_taken", and the transport's.
Result<std::unique_ptr<ObjectStore>> open_s3_store(Session& session, const S3StoreOptions& options);

/// A URL that anybody may read the object with for `expires` (up to 7 days; not longer than the session's credentials
/// live). Errors: invalid "bad_bucket", invalid "bad_key"; as of the credentials.
Result<std::string> presigned_get(Session& session, const std::string& bucket, const ObjectKey& key, Seconds expires);

}  // namespace imgrec::aws
