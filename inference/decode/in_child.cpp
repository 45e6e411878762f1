#include "inference/decode/in_child.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace imgrec::decode {
namespace {

constexpr int kThrew = 3;  // exit code: std::bad_alloc, as nothing else throws

// Of memory that is this process's own and can be written to, as RLIMIT_DATA counts it. 0: unknown.
std::uint64_t data_bytes() {
  std::array<char, 128> text{};
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  if (got <= 0) return 0;
  const char* at = text.data();
  std::uint64_t pages = 0;
  constexpr int kDataField = 6;
  for (int field = 0; field < kDataField; ++field) {
    char* end = nullptr;
    pages = std::strtoull(at, &end, 10);
    at = end;
  }
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Of processor time, the signal of the lower limit tells what happened; at the upper one it would be SIGKILL.
void limit(int resource, std::uint64_t most, std::uint64_t beyond = 0) {
  const rlimit limits{most, most + beyond};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limits);
}

void apply(const ChildLimits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.cpu_seconds, 5);
  if (const std::uint64_t used = data_bytes(); used > 0) limit(RLIMIT_DATA, used + limits.memory_bytes);
  // Handlers of this program write to what the parent listens to, or print.
  for (const int number : {SIGALRM, SIGXCPU, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT, SIGHUP}) {
    std::signal(number, SIG_DFL);
  }
  // Decoders print what they find wrong.
  if (const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::alarm(limits.wall_seconds);
}

Result<void> judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == kThrew) {
    return fail(ErrorKind::invalid, "image_too_large", "The image needs more memory than an image may.");
  }
  switch (WIFSIGNALED(status) ? WTERMSIG(status) : 0) {
    case SIGALRM:
    case SIGXCPU:
      return fail(ErrorKind::invalid, "image_too_large", "The image takes longer to decode than an image may.");
    case SIGKILL:  // by the kernel, as memory was short
    case SIGTERM:
    case SIGINT:
    case SIGHUP: return fail(ErrorKind::transient, "out_of_memory", "Decoding the image was ended from outside.");
    default: return fail(ErrorKind::invalid, "image_corrupt", "The image is damaged: its decoder crashed.");
  }
}

}  // namespace

SharedBytes::SharedBytes(std::size_t count) : count_(count) {
  void* data = ::mmap(nullptr, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data != MAP_FAILED) data_ = static_cast<std::byte*>(data);
}

SharedBytes::~SharedBytes() {
  if (data_ != nullptr) ::munmap(data_, count_);
}

Result<void> run_in_child(const ChildLimits& limits, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child < 0)
    return fail(ErrorKind::transient, "out_of_memory", "There is no process to be had to decode the image.");
  if (child == 0) {
    apply(limits);
    try {
      work();
    } catch (...) {
      ::_exit(kThrew);
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail(ErrorKind::bug, "child_lost", "The process that decoded the image is gone.");
  }
  return judge(status);
}

}  // namespace imgrec::decode
