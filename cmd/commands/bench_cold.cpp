#include "cmd/commands/bench_cold.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "lib/base/file.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kSaidBytesMax = 64 * kKiB;

// The kernel's own mark of the most that was resident. (rusage would count what this process had before the new program
// took its place.)
double peak_bytes_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) * 1024;
  }
  return 0;
}

std::vector<std::string> command_line(const Config& config, const ChildOptions& options,
                                      const std::vector<std::string>& files) {
  std::vector<std::string> words = {"imgrec",
                                    "classify",
                                    "--json",
                                    "--model",
                                    config.model.name,
                                    "--model-dir",
                                    config.model.dir,
                                    "--labels",
                                    config.model.labels,
                                    "--state-dir",
                                    options.state_dir,
                                    "--engine",
                                    options.engine,
                                    "--precision",
                                    options.precision,
                                    "--threads",
                                    std::to_string(options.threads),
                                    "--"};
  words.insert(words.end(), files.begin(), files.end());
  return words;
}

struct Pipe {
  int read = -1, write = -1;
  ~Pipe() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
};

Result<pid_t> start(const std::vector<std::string>& words, int out, const std::string& errors) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(ErrorKind::transient, "child_failed", std::string("Cannot start a process: ") + std::strerror(error));
  }
  return pid;
}

}  // namespace

Result<ChildRun> run_classify_child(const Config& config, const ChildOptions& options,
                                    const std::vector<std::string>& files, Clock& clock) {
  Pipe pipe;
  if (int ends[2]; ::pipe2(ends, O_CLOEXEC) == 0) {
    pipe.read = ends[0];
    pipe.write = ends[1];
  } else {
    return fail(ErrorKind::transient, "child_failed", std::string("Cannot make a pipe: ") + std::strerror(errno));
  }
  const auto words = command_line(config, options, files);
  const MonoTime begin = clock.mono_now();
  const std::string errors = options.state_dir + "/stderr.txt";
  const auto pid = start(words, pipe.write, errors);
  if (!pid) return fail(pid.error());
  ::close(std::exchange(pipe.write, -1));

  ChildRun run;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(pipe.read, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (run.first_label_ms == 0) run.first_label_ms = elapsed_ms(begin, clock.mono_now());
    if (const double peak = peak_bytes_of(*pid); peak > 0) run.peak_bytes = peak;
  }
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const auto said = read_file(errors, kSaidBytesMax);
    return fail(ErrorKind::transient, "child_failed",
                "`imgrec classify` did not succeed: " + (said ? *said : said.error().message));
  }
  return run;
}

}  // namespace imgrec
