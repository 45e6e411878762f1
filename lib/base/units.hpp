// Types that carry units. Plain numbers carry a suffix instead (image_bytes_max, timeout_ms).
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace imgrec {

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using MonoTime = std::chrono::steady_clock::time_point;  // for durations and deadlines; meaningless across processes
using WallTime = std::chrono::sys_time<Millis>;          // for people and for other processes: UTC

/// Seconds, with the fraction.
constexpr double to_s(Millis time) {
  return static_cast<double>(time.count()) / 1000;
}

/// Encoded bytes (an image, an object, a body); std::string is their owner throughout, so nothing is copied at a
/// border.
using ByteView = std::string_view;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

}  // namespace imgrec
