// One object of a bucket of Amazon S3: what the store of the service and the reader of others' buckets share.
#pragma once

#include <memory>
#include <string>

#include "aws/adapters/s3_bucket.hpp"
#include "lib/ports/object_reader.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec::aws {

/// The path of a key below its bucket.
std::string path_of(const ObjectKey& key);

CallRequest object_call(const char* operation, const char* method, const Endpoint& endpoint, const ObjectKey& key);

/// The error of a call that was answered "not there".
Error no_such_object(const Error& error);

struct ObjectAsked {
  ObjectKey key;
  std::string version = {};  // VersionId; empty: the latest
  std::uint64_t bytes_max = 0;
  Millis attempt_timeout{30'000};
};
/// Errors as ObjectStore::get(), and the transport's.
Result<StoredObject> get_object(Caller& caller, const Endpoint& endpoint, const ObjectAsked& what,
                                const CallLimits& limits);

/// Reads objects of any bucket of the session's region that its credentials may read. Rights: s3:GetObject,
/// s3:GetObjectVersion for references with a version, and s3:ListBucket, without which S3 answers "denied" instead of
/// "not there". Not much lives longer than a call; the session has to outlive it.
std::unique_ptr<ObjectReader> make_s3_reader(Session& session);

}  // namespace imgrec::aws
