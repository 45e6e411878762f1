// Buckets of Amazon S3 that are emptied for good, before they are deleted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "aws/client/session.hpp"

namespace imgrec::aws {

/// Removes every object of the bucket with all its versions and delete markers, page by page; a bucket that is not
/// there is a success. on_page: told after each page how many are removed so far. Returns how many there were. What
/// others put meanwhile may stay. Errors: of the first object that S3 does not remove; invalid "bad_bucket"; the
/// transport's.
Result<std::uint64_t> empty_s3_bucket(Session& session, const std::string& bucket,
                                      const std::function<void(std::uint64_t removed)>& on_page,
                                      const CallLimits& limits);

}  // namespace imgrec::aws
