// Tagged ids: a JobId cannot be passed where an InstanceId is wanted.
#pragma once

#include <compare>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}
  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  std::string value_;
};

template <class Tag>
std::ostream& operator<<(std::ostream& out, const Id<Tag>& id) {
  return out << id.str();
}

using JobId = Id<struct JobIdTag>;          // one image's way through the system; a ULID
using SessionId = Id<struct SessionIdTag>;  // one client's images; [A-Za-z0-9_-]{1,64}
using ObjectKey = Id<struct ObjectKeyTag>;  // an object's name in its store
using Receipt = Id<struct ReceiptTag>;      // one delivery of a message; void after the next delivery
using MessageId = Id<struct MessageIdTag>;
using InstanceId = Id<struct InstanceIdTag>;    // a worker machine (or child process)
using WorkerId = Id<struct WorkerIdTag>;        // a worker process
using LaunchToken = Id<struct LaunchTokenTag>;  // makes a launch idempotent
using RequestId = Id<struct RequestIdTag>;      // one HTTP request, for the person who reports a problem

class Rng;

/// A new ULID (26 characters of Crockford base32: 48 bits of `now` in ms, 80 random bits): sorts by time and cannot be
/// guessed, so whoever knows a JobId was told it. https://github.com/ulid/spec
JobId make_job_id(WallTime now, Rng& rng);

/// When the id was made.
WallTime time_of(const JobId& job);

/// Accepts exactly the form that make_job_id writes (upper case); anything else is ErrorKind::invalid, "bad_job_id".
Result<JobId> parse_job_id(std::string_view text);

/// An object's key as lib/ports/object_store.hpp wants it; else ErrorKind::invalid, "bad_key".
Result<void> check_object_key(std::string_view key);

/// The given number of random bytes as lower-case hex.
std::string random_hex(Rng& rng, std::size_t byte_count);

}  // namespace imgrec

template <class Tag>
struct std::hash<imgrec::Id<Tag>> {
  std::size_t operator()(const imgrec::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.str()); }
};
