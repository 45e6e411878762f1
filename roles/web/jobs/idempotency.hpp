// Idempotency-Key: a client that sends the same request again, because it does not know what became of the first, gets
// the jobs of the first. The key's record is an object that is made once, so it holds on every node.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/job/job.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// A key stands for its request so long.
constexpr Seconds kIdempotencyKept{24 * 3'600};
constexpr std::size_t kIdempotencyKeyMax = 255;

struct IdempotencyRecord {
  std::string digest;       // of what was asked
  std::vector<JobId> jobs;  // of the images in the order sent; empty where an image was refused at the door
  WallTime at{};
  bool operator==(const IdempotencyRecord&) const = default;
};

/// Errors: invalid "bad_idempotency_key": not 1 to 255 printable ASCII characters.
Result<void> check_idempotency_key(std::string_view key);

/// Thread-safe. Blocks for one call of the store, or a few.
class Idempotency {
 public:
  struct Ports {
    ObjectStore& store;
    Clock& clock;
    std::stop_token abort{};  // requested: calls under way end
  };
  explicit Idempotency(Ports ports) : ports_(std::move(ports)) {}

  struct Claim {
    bool is_new = true;  // else the record is that of an earlier request
    IdempotencyRecord record;
  };
  /// Keys of different owners have nothing to do with each other. Errors: invalid "idempotency_key_reused": the key
  /// stands for another request; else as of the store.
  Result<Claim> claim(const OwnerId& owner, std::string_view key, const IdempotencyRecord& mine);

 private:
  Ports ports_;
};

}  // namespace imgrec
