// A process of the local_test_child program, and what it prints.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "lib/base/units.hpp"

namespace imgrec::test {

/// Killed and waited for when destroyed.
class ChildProcess {
 public:
  explicit ChildProcess(const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// SIGKILL, and waits for the end.
  void kill();
  /// Waits for the end; its exit status, or minus the signal.
  int wait();
  /// The next line of its output without the line's end; empty at the end of the output.
  std::string line();
  /// All lines that are left, to the end of the output.
  std::vector<std::string> lines();

 private:
  pid_t pid_ = 0;
  int out_ = -1;
  std::string buffered_;
};

/// False for one that has ended, also when nobody has waited for it yet.
bool is_alive(pid_t pid);

/// Asks every few milliseconds until it holds; false when it does not within the time.
bool holds_within(Millis duration, const std::function<bool()>& holds);

}  // namespace imgrec::test
