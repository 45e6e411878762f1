#include "lib/local/liveness.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.hpp"

namespace imgrec::liveness_test {
namespace {

TEST(Liveness, ANameIsThereUntilItsOwnerEnds) {
  const test::TempDir folder;
  const auto file = folder.path() / "controllers.lock";
  auto first = Liveness::enter(file, "a:1:00");
  auto second = Liveness::enter(file, "b:2:00");
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(second->is_gone("a:1:00"));
  EXPECT_FALSE(first->is_gone("b:2:00"));
  EXPECT_TRUE(first->is_gone("c:3:00")) << "nobody ever had this name";
  *first = *std::move(second);  // the first one ends
  second = Liveness::enter(file, "d:4:00");
  EXPECT_TRUE(second->is_gone("a:1:00"));
  EXPECT_FALSE(second->is_gone("b:2:00"));
}

TEST(Liveness, AKilledProcessIsGone) {
  const test::TempDir folder;
  const auto file = folder.path() / "controllers.lock";
  int there[2];
  ASSERT_EQ(::pipe(there), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto entered = Liveness::enter(file, "child");
    const char byte = entered ? 1 : 0;
    if (::write(there[1], &byte, 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(there[0], &byte, 1), 1);
  EXPECT_EQ(byte, 1);
  const auto mine = Liveness::enter(file, "parent");
  ASSERT_TRUE(mine);
  EXPECT_FALSE(mine->is_gone("child"));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(mine->is_gone("child"));
  ::close(there[0]);
  ::close(there[1]);
}

TEST(Liveness, AFolderThatIsNotThereIsAnError) {
  const auto entered = Liveness::enter("/nowhere/controllers.lock", "a");
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().code, "liveness_unavailable");
}

}  // namespace
}  // namespace imgrec::liveness_test
