// How far this machine's clock is from AWS's, learnt from the Date of every answer. A signature more than five minutes
// off is refused, so a wrong clock must not stop the service.
#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "lib/base/units.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec::aws {

/// "Thu, 01 Jan 2026 00:05:01 GMT" (IMF-fixdate); nothing when it is not that.
std::optional<WallTime> parse_http_date(std::string_view text);

/// Thread-safe; one per service endpoint.
class ClockSkew {
 public:
  explicit ClockSkew(Millis initial = Millis(0)) : skew_ms_(initial.count()) {}
  /// AWS's clock minus ours.
  Millis value() const { return Millis(skew_ms_.load(std::memory_order_relaxed)); }

  /// Learns from one answer: Date against the middle of the exchange. Nothing is learnt (and nothing returned) from an
  /// answer without a Date, out of a cache (Age), or that took so long that the middle says little.
  std::optional<Millis> learn(WallTime sent_at, WallTime received_at, const HttpHeaders& headers);

 private:
  std::atomic<Millis::rep> skew_ms_;
};

/// Whether a refusal with this code is a matter of the clock, so that signing again with what was learnt may succeed.
/// used: the skew with which the refused request was signed. learnt: what its answer taught.
bool is_clock_skew_error(std::string_view aws_code, Millis used, std::optional<Millis> learnt);

}  // namespace imgrec::aws
