#include "lib/local/child_guard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <thread>

#include "lib/base/environment.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr int kExitOrphaned = 1;

// The pipe that the variable names; not ok when there is none. The variable goes, so that our own children neither get
// the descriptor nor believe in it.
Fd take_pipe(const std::string& variable) {
  const auto text = environment_variable(variable);
  if (!text) return {};
  remove_environment_variable(variable);
  int fd = -1;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), fd);
  struct stat info{};
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size() || ::fstat(fd, &info) != 0 ||
      !S_ISFIFO(info.st_mode)) {
    log::warning("not started by a fleet: no pipe there", {{"variable", variable}, {"value", *text}});
    return {};
  }
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return Fd(fd);
}

// Blocks until the descriptor has something to say; false on an error.
bool wait_for(pollfd* fds, nfds_t count) {
  int ready = 0;
  do ready = ::poll(fds, count, -1);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

class NoGuard final : public ChildGuard {
 public:
  void ready() override {}
};

class PipeGuard final : public ChildGuard {
 public:
  PipeGuard(Fd parent, Fd ready, std::function<void()> on_parent_gone, Millis grace)
      : parent_(std::move(parent)),
        ready_(std::move(ready)),
        end_(::eventfd(0, EFD_CLOEXEC)),
        on_parent_gone_(std::move(on_parent_gone)),
        grace_(grace) {
    // A stopped child (SIGSTOP) cannot see the pipe: so the kernel continues it when the parent ends. SIGCONT, unlike
    // SIGKILL, does no harm when only the thread that started us ends, and leaves the time to drain.
    ::prctl(PR_SET_PDEATHSIG, SIGCONT);
    watcher_ = std::jthread([this] { watch(); });
  }

  ~PipeGuard() override { ::eventfd_write(end_.get(), 1); }

  void ready() override {
    if (!ready_.ok()) return;
    // When the parent is gone writing raises SIGPIPE: taken back here, since ending is the watcher's business.
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (::write(ready_.get(), "r", 1) < 0 && errno == EPIPE && ::sigpending(&pending) == 0 &&
        ::sigismember(&pending, SIGPIPE) == 1) {
      const timespec now{};
      ::sigtimedwait(&pipe, nullptr, &now);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ready_.reset();
  }

 private:
  void watch() {
    pollfd fds[] = {{parent_.get(), 0, 0}, {end_.get(), POLLIN, 0}};  // the end of a pipe is always reported
    if (!wait_for(fds, 2) || fds[0].revents == 0) return;
    // On its own: neither a callback that hangs nor the end of main() keeps this process alive.
    std::thread([grace = grace_] {
      ::poll(nullptr, 0, static_cast<int>(grace.count()));
      ::_exit(kExitOrphaned);
    }).detach();
    log::warning("the parent process is gone: ending", {{"grace_ms", grace_.count()}});
    on_parent_gone_();
  }

  const Fd parent_;
  Fd ready_;
  const Fd end_;
  const std::function<void()> on_parent_gone_;
  const Millis grace_;
  std::jthread watcher_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<ChildGuard> make_child_guard(std::function<void()> on_parent_gone, Millis grace) {
  Fd ready = take_pipe("IMGREC_READY_FD");
  Fd parent = take_pipe("IMGREC_PARENT_FD");
  if (!parent.ok()) return std::make_unique<NoGuard>();
  return std::make_unique<PipeGuard>(std::move(parent), std::move(ready), std::move(on_parent_gone), grace);
}

}  // namespace imgrec
