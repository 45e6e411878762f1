#include "cmd/cli/signals.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/service_manager.hpp"

namespace imgrec {
namespace {

// A handler may touch nothing but these.
std::atomic<int> g_signal{0};
std::atomic<int> g_pipe_in{-1};
struct sigaction g_before_int, g_before_term;

extern "C" void on_signal(int number) {
  const int before_errno = errno;
  int none = 0;
  if (!g_signal.compare_exchange_strong(none, number)) ::_exit(128 + number);
  const char byte = 's';
  [[maybe_unused]] const auto written = ::write(g_pipe_in.load(), &byte, 1);
  errno = before_errno;
}

}  // namespace

Interrupts::Interrupts() {
  g_signal = 0;
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return;  // no descriptor is left: signals then end the process as they always did
  g_pipe_in = ends[1];
  watcher_ = std::jthread([this, out = ends[0]] {
    char byte = 0;
    while (::read(out, &byte, 1) < 0 && errno == EINTR) {
    }
    if (byte == 's') {
      tell_service_manager("STOPPING=1");
      stop_.request_stop();
    }
    ::close(out);
  });
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &g_before_int);
  ::sigaction(SIGTERM, &action, &g_before_term);
}

Interrupts::~Interrupts() {
  const int pipe_in = g_pipe_in.load();
  if (pipe_in < 0) return;
  ::sigaction(SIGINT, &g_before_int, nullptr);
  ::sigaction(SIGTERM, &g_before_term, nullptr);
  g_pipe_in = -1;
  ::close(pipe_in);  // ends the watcher
  watcher_.join();
}

bool Interrupts::by_keyboard() const {
  return g_signal == SIGINT;
}

int exit_code(const Interrupts& interrupts) {
  return interrupts.by_keyboard() ? kExitInterrupted : kExitOk;
}

int report(const Error& error, const Interrupts& interrupts) {
  if (error.kind == ErrorKind::cancelled && interrupts.token().stop_requested()) return exit_code(interrupts);
  return report(error);
}

void ignore_sigpipe() {
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace imgrec
