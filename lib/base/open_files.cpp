#include "lib/base/open_files.hpp"

#include <sys/resource.h>

namespace imgrec {
namespace {

rlimit limits() {
  rlimit found{};
  ::getrlimit(RLIMIT_NOFILE, &found);
  return found;
}

}  // namespace

std::uint64_t open_files_limit() {
  return limits().rlim_cur;
}

std::uint64_t raise_open_files_limit() {
  rlimit wanted = limits();
  wanted.rlim_cur = wanted.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &wanted);
  return open_files_limit();
}

}  // namespace imgrec
