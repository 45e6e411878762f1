// Request bodies that are compressed: Content-Encoding.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/result.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// What the body was compressed with, in lower case; nothing when with nothing.
std::optional<std::string> content_coding(const Request& request);

/// True for what BodyUnpacker undoes.
bool is_known_coding(std::string_view coding);

/// Thread-safe.
class BodyUnpacker {
 public:
  /// bytes_max: of one body when it is unpacked; total_bytes_max: of all those that are still kept.
  BodyUnpacker(std::uint64_t bytes_max, std::uint64_t total_bytes_max)
      : bytes_max_(bytes_max), total_bytes_max_(total_bytes_max) {}

  /// Replaces a gzip body by what it unpacks to; leaves others alone. Errors: those of gunzip(); "memory_full"
  /// (throttled) when the total is reached.
  Result<void> unpack(Request& request);

 private:
  std::shared_ptr<void> reserve(std::uint64_t bytes);

  const std::uint64_t bytes_max_, total_bytes_max_;
  const std::shared_ptr<std::atomic<std::uint64_t>> total_bytes_ = std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace imgrec
