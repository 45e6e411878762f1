// Runs a decoder that is not trusted with its input in a process of its own: what it crashes, hangs or fills up is not
// ours, and costs one image. For libraries that cannot be told limits; a fork costs some milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec::decode {

struct ChildLimits {
  std::uint64_t memory_bytes = 0;  // beyond what this process has
  unsigned cpu_seconds = 0;
  unsigned wall_seconds = 0;
};

/// What is shared with the child; nothing where the memory is not to be had.
class SharedBytes {
 public:
  explicit SharedBytes(std::size_t count);
  ~SharedBytes();
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;
  bool ok() const { return data_ != nullptr; }
  std::span<std::byte> bytes() const { return {data_, count_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t count_;
};

/// Calls `work` in a fork of this process and waits for its end. All that comes back is what it writes to SharedBytes.
/// `work` must not wait for locks that other threads may have held at the fork: no log, no dlopen().
/// (glibc's malloc may be used.) Blocks for wall_seconds at most. Thread-safe.
/// Errors: transient "out_of_memory" when there is no process to be had, or the kernel ended it for want of memory;
/// invalid "image_too_large" when it reached its time or std::bad_alloc was thrown; invalid "image_corrupt" when it
/// crashed.
Result<void> run_in_child(const ChildLimits& limits, const std::function<void()>& work);

}  // namespace imgrec::decode
