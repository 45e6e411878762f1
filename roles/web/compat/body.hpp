// The bodies of requests in JSON, which may hold whole images.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "lib/base/units.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// Bytes made of a request's body: they count as its memory until the last copy goes.
inline std::shared_ptr<const std::string> hold_body(std::string bytes, Request& request) {
  struct Held {
    std::string bytes;
    std::shared_ptr<void> memory;
  };
  const auto held = std::make_shared<const Held>(std::move(bytes), std::move(request.memory));
  return {held, &held->bytes};
}

/// A document takes several times its size while it is parsed (of lists of short numbers eight times), which no budget
/// counts: so one is parsed at a time, and none that is larger. A document of 32 MiB takes some 50 ms.
inline constexpr std::size_t kJsonBytesMax = 32 * kMiB;
inline std::mutex& json_parsing() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace imgrec
