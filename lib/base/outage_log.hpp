// One log line when a service begins to fail and one when it works again, however often it is asked meanwhile.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// Thread-safe.
class OutageLog {
 public:
  /// what: as the log line begins ("receiving requests").
  OutageLog(std::string what, Clock& clock) : what_(std::move(what)), clock_(clock) {}
  void failed(const Error& error);
  void succeeded();

 private:
  const std::string what_;
  Clock& clock_;
  std::mutex mutex_;
  std::optional<MonoTime> since_;
  int failures_ = 0;
};

}  // namespace imgrec
