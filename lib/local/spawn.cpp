#include "lib/local/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace imgrec {
namespace {

constexpr int kParentFd = 3;
constexpr int kReadyFd = 4;
constexpr int kAboveFd = 10;  // our pipes lie above, so that putting them at 3 and 4 overwrites neither

// posix_spawn's two objects, destroyed whatever happens.
struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

std::unexpected<Error> launch_error(const std::filesystem::path& executable, int error) {
  const bool for_good = error == ENOENT || error == EACCES || error == ENOEXEC || error == ENOTDIR || error == E2BIG;
  return fail(for_good ? ErrorKind::invalid : ErrorKind::transient, "launch_failed",
              "Cannot start " + executable.string() + ": " + std::strerror(error) + ".");
}

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe(const std::filesystem::path& executable) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return launch_error(executable, errno);
  const Fd low_read(ends[0]), low_write(ends[1]);
  Pipe pipe{Fd(::fcntl(ends[0], F_DUPFD_CLOEXEC, kAboveFd)), Fd(::fcntl(ends[1], F_DUPFD_CLOEXEC, kAboveFd))};
  if (!pipe.read.ok() || !pipe.write.ok()) return launch_error(executable, errno);
  return pipe;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

void set_up(SpawnSetup& setup, int parent_fd, int ready_fd) {
  posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&setup.actions, parent_fd, kParentFd);
  posix_spawn_file_actions_adddup2(&setup.actions, ready_fd, kReadyFd);
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, kReadyFd + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

}  // namespace

Result<Child> spawn_child(ChildCommand command) {
  auto lifeline = make_pipe(command.executable);
  if (!lifeline) return fail(lifeline.error());
  auto ready = make_pipe(command.executable);
  if (!ready) return fail(ready.error());
  if (::fcntl(ready->read.get(), F_SETFL, O_NONBLOCK) != 0) return launch_error(command.executable, errno);

  SpawnSetup setup;
  set_up(setup, lifeline->read.get(), ready->write.get());
  command.arguments.insert(command.arguments.begin(),
                           command.name.empty() ? command.executable.string() : command.name);
  command.environment.push_back("IMGREC_PARENT_FD=" + std::to_string(kParentFd));
  command.environment.push_back("IMGREC_READY_FD=" + std::to_string(kReadyFd));
  Child child;
  const int error = ::posix_spawn(&child.pid, command.executable.c_str(), &setup.actions, &setup.attributes,
                                  pointers(command.arguments).data(), pointers(command.environment).data());
  if (error != 0) return launch_error(command.executable, error);
  child.lifeline = std::move(lifeline->write);
  child.ready = std::move(ready->read);
  return child;
}

}  // namespace imgrec
