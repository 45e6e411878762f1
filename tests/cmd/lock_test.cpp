#include "cmd/files/lock.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "tests/support/temp_dir.hpp"

namespace imgrec::lock_test {
namespace {

TEST(FileLock, IsHeldByOneAtATime) {
  const test::TempDir folder;
  const auto file = folder.path() / "lock";
  std::optional<FileLock> first;
  {
    auto taken = FileLock::take(file, "taken");
    ASSERT_TRUE(taken);
    first.emplace(std::move(*taken));
  }
  const auto second = FileLock::take(file, "It is taken: wait.");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "already_running");
  EXPECT_EQ(second.error().message, "It is taken: wait.");
  first.reset();
  EXPECT_TRUE(FileLock::take(file, "taken"));
}

TEST(FileLock, IsFreeWhenItsProcessIsGone) {
  const test::TempDir folder;
  const auto file = folder.path() / "lock";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = FileLock::take(file, "taken");
    ::_exit(lock ? 7 : 1);  // without its destructor
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 7);
  EXPECT_TRUE(FileLock::take(file, "taken"));
}

TEST(FileLock, WithoutAFolderThereIsNoLock) {
  const test::TempDir folder;
  const auto lock = FileLock::take(folder.path() / "none" / "lock", "taken");
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code, "lock_unavailable");
}

}  // namespace
}  // namespace imgrec::lock_test
