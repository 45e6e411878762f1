// Images that lie in buckets of other owners: read, and never written or removed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

/// Threads  safe; calls block, at most until their limits. Failure belongs to the caller.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;

  /// The bytes of the object. Errors: not_found "no_such_object", "no_such_bucket"; denied; invalid "object_too_large"
  /// when it has more than bytes_max (it is not read), "bad_object_reference" as of check_object_reference(), and what
  /// else is wrong with the reference for this reader; transient and throttled as the transport's.
  virtual Result<std::string> read(const ObjectReference& object, std::uint64_t bytes_max,
                                   const CallLimits& limits) = 0;
};

/// A bucket has 3 to 63 small letters, digits, hyphens and dots, and begins and ends with a letter or digit; a key is
/// as lib/ports/object_store.hpp says; a version has at most 1024 printable characters. Errors: invalid
/// "bad_object_reference", which says what is wrong.
Result<void> check_object_reference(const ObjectReference& object);

/// Whether the list, with commas between its names, has this bucket.
bool has_bucket(std::string_view buckets, std::string_view bucket);

}  // namespace imgrec
