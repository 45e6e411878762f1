// The child's side of process_fleet: ends with its parent, and says when it is ready.
#pragma once

#include <functional>
#include <memory>

#include "lib/base/units.hpp"

namespace imgrec {

class ChildGuard {
 public:
  virtual ~ChildGuard() = default;
  /// Tells the parent that this child works now. Without a parent: nothing.
  virtual void ready() = 0;
};

/// When IMGREC_PARENT_FD names a descriptor: watches it in a thread, calls on_parent_gone once when the parent ends,
/// and ends this process (_exit) if it is still there `grace` later. Else a guard that does nothing.
std::unique_ptr<ChildGuard> make_child_guard(std::function<void()> on_parent_gone, Millis grace = Millis(3'000));

}  // namespace imgrec
