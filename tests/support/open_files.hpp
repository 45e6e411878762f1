// A limit of open files for the length of a test.
#pragma once

#include <sys/resource.h>

#include <algorithm>

namespace imgrec::test {

/// Sets the soft limit; the destructor brings the one before back.
class OpenFilesLimit {
 public:
  explicit OpenFilesLimit(rlim_t soft) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit wanted{std::min(soft, before_.rlim_max), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &wanted);
  }
  ~OpenFilesLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  OpenFilesLimit(const OpenFilesLimit&) = delete;
  OpenFilesLimit& operator=(const OpenFilesLimit&) = delete;

  rlim_t hard() const { return before_.rlim_max; }

 private:
  rlimit before_{};
};

}  // namespace imgrec::test
