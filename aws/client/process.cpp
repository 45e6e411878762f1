#include "aws/client/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/clock.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kDurationMax{60'000};
constexpr std::size_t kOutputBytesMax = 64 * kKiB;

std::unexpected<Error> failed(const std::string& why) {
  return fail(ErrorKind::transient, "credential_process_failed", "credential_process " + why + ".");
}

// What the child prints until it closes its end; false when it takes too long or says too much.
bool read_all(int fd, std::string& output) {
  const Deadline deadline = Deadline::in(system_clock(), kDurationMax);
  while (true) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int got = poll(&ready, 1, static_cast<int>(deadline.left(system_clock()).count()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    char buffer[4096];
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    if (size == 0) return true;
    output.append(buffer, static_cast<std::size_t>(size));
    if (output.size() > kOutputBytesMax) return false;
  }
}

}  // namespace

Result<ProcessOutput> run_shell(const std::string& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed(std::string("cannot be started: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  const char* const arguments[] = {"/bin/sh", "-c", command.c_str(), nullptr};
  pid_t child = 0;
  const int error =
      posix_spawn(&child, arguments[0], &actions, &attributes, const_cast<char* const*>(arguments), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    return failed(std::string("cannot be started: ") + std::strerror(error));
  }
  ProcessOutput out;
  const bool finished = read_all(ends[0], out.output);
  close(ends[0]);
  if (!finished) kill(-child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!finished) return failed("took longer than a minute, or printed more than 64 KiB, and was ended");
  out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

}  // namespace imgrec::aws
