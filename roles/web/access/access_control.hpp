// Who may do what, and how much: the door of the web role.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/access/allowance.hpp"
#include "roles/web/access/caller.hpp"
#include "roles/web/access/key_ring.hpp"

namespace imgrec {

/// Thread-safe.
class AccessControl {
 public:
  /// keys: null where the service asks for none. counts: where those of limited keys lie.
  AccessControl(const WebConfig& web, std::unique_ptr<KeyRing> keys, ObjectStore& counts, Clock& clock)
      : web_(web), keys_(std::move(keys)), allowances_(counts, clock) {}

  /// Never blocks. Errors, all denied: "bad_key", "key_needed", "role_needed".
  Result<Caller> admit(const Request& request, Access needed) const;

  /// A request with images that a key has no allowance for is refused before its body is read, where that is known.
  /// Never blocks.
  std::optional<Refused> known_refusal(const Caller& caller) const;

  struct Charge {
    std::optional<Refused> refused;
    HttpHeaders headers;  // RateLimit and RateLimit-Policy; none for a key without limits
  };
  /// Counts so many images. Blocks for two calls of the store at times. Errors: as of the store.
  Result<Charge> charge(const Caller& caller, std::uint64_t images, const CallLimits& limits);

  /// Reads the keys again. Blocks.
  void refresh(const CallLimits& limits);

 private:
  const WebConfig& web_;
  const std::unique_ptr<KeyRing> keys_;
  Allowances allowances_;
};

/// Throttled "rate_exceeded" or "quota_exceeded".
Error refusal_of(const Refused& refused);

/// Whole seconds, at least one.
Seconds retry_after(const Refused& refused);

/// What an answer with that status and code carries besides: WWW-Authenticate (401).
HttpHeaders access_headers(int status, std::string_view code);

}  // namespace imgrec
