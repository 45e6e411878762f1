#include "lib/base/open_files.hpp"

#include <gtest/gtest.h>

#include "tests/support/open_files.hpp"

namespace imgrec::open_files_test {
namespace {

TEST(OpenFiles, TheSoftLimitIsRaisedToTheHardOne) {
  const test::OpenFilesLimit limit(100);
  EXPECT_EQ(open_files_limit(), 100U);
  EXPECT_EQ(raise_open_files_limit(), limit.hard());
  EXPECT_EQ(open_files_limit(), limit.hard());
}

}  // namespace
}  // namespace imgrec::open_files_test
