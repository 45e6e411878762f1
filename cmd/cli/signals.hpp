// SIGINT and SIGTERM become a stop token; a second one ends the process at once.
#pragma once

#include <stop_token>
#include <thread>

#include "lib/base/result.hpp"

namespace imgrec {

/// One at a time per process. While it lives, the first SIGINT or SIGTERM requests a stop, and the second ends the
/// process with 130 or 143 (128 + its number). Afterwards signals do what they did before.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// The same stop for another reason (the parent is gone, a role failed).
  void stop() { stop_.request_stop(); }
  /// True when SIGINT, not SIGTERM, asked for the end.
  bool by_keyboard() const;

 private:
  std::stop_source stop_;
  std::jthread watcher_;
};

/// The exit code of a command that was told to end and did: 130 for Ctrl-C, else 0.
int exit_code(const Interrupts& interrupts);
/// As report(error), but silent and exit_code(interrupts) when the error is only that the stop came first.
int report(const Error& error, const Interrupts& interrupts);

/// Servers must not die of a client that is gone: a write then fails with EPIPE.
void ignore_sigpipe();

}  // namespace imgrec
