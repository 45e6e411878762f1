// What web nodes and workers tell the controller: small messages that may be lost, late, doubled or reordered.
//
// A sender numbers its signals; `sender` and `life` together name one process. Spans are measured by the sender's own
// clock, and no two machines' clocks are ever compared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

enum class SignalKind {
  enqueued,  // a web node: requests sent; the first after a quiet time at once, later ones gathered
  ready,     // a worker can take its first request
  worked,    // a worker: what it did since its signal before
  draining,  // a worker takes nothing new
  ended,     // a worker has finished all it held, and ends
};

/// A web node that takes images in tells so often how many.
constexpr Millis kWebSignalEvery{5'000};

/// A worker tells something at least this often.
constexpr Seconds kWorkerSignalEvery{60};

struct Signal {
  SignalKind kind = SignalKind::worked;
  std::string sender;          // of a worker: its App Tier ID; of a web node: its name. 1 to 100 characters
  std::string life;            // differs each time the sender starts; 1 to 100 characters
  std::uint64_t sequence = 0;  // 1 for the first signal of a life; grows by one
  std::uint64_t images = 0;    // enqueued or finished
  Millis span{0};              // in which that was
  double busy_share = 0;       // worked: the part of the span in which it worked, all its threads together: 0 to 1
  Millis idle{0};              // worked: it has held nothing for so long now; 0: it holds something
  bool operator==(const Signal&) const = default;
};

std::string to_json(const Signal& signal);

/// Errors: invalid "bad_signal": what cannot be read, or what no sender sends (spans above a day, shares outside 0 to
/// 1, more than a billion images); transient "other_version" (lib/job/other_version.hpp).
Result<Signal> parse_signal(std::string_view json);

}  // namespace imgrec
