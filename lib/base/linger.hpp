// How long a batch waits for more items before it leaves: one rule for every place that sends or removes messages in
// batches. Pure: whoever asks says what it knows.
#pragma once

#include <algorithm>

#include "lib/base/units.hpp"

namespace imgrec {

/// The numbers of one place; they come from the settings.
struct LingerRule {
  int part = 8;     // an item may wait for this part (1/8) of the time that it takes all in all …
  Millis min{0};    // … but at least so long …
  Millis max{500};  // … and no longer than this
};

struct LingerState {
  bool more = false;   // other items are on their way to this batch
  Millis usual{0};     // what an item takes all in all; may be negative where two clocks differ
  Millis next_two{0};  // the time in which two more items are expected; 0: not known
};

/// 0: the batch leaves now. As many items as are under way at a time arrive within the time that one of them takes
/// (Little's law). So where 80 of them pass by one place, waiting for an eighth of that time fills batches of ten, at
/// any pace. Where not even two more would come meanwhile, waiting saves no call.
constexpr Millis linger(const LingerRule& rule, const LingerState& state) {
  if (!state.more) return Millis(0);
  const Millis wait = std::clamp(state.usual / rule.part, rule.min, rule.max);
  return wait < state.next_two ? Millis(0) : wait;
}

}  // namespace imgrec
