#include "lib/base/file.hpp"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.hpp"

namespace imgrec::file_test {
namespace {

TEST(File, WritesWholeAndReadsBack) {
  const test::TempDir dir;
  const std::string bytes("a\0b", 3);
  EXPECT_EQ(write_file_atomic(dir.path() / "f", bytes, WriteMode::replace), true);
  EXPECT_EQ(read_file(dir.path() / "f", 3), bytes);
  EXPECT_EQ(write_file_atomic(dir.path() / "f", "new", WriteMode::replace), true);
  EXPECT_EQ(read_file(dir.path() / "f", 100), "new");
}

TEST(File, OnlyIfAbsentKeepsTheFirst) {
  const test::TempDir dir;
  EXPECT_EQ(write_file_atomic(dir.path() / "f", "first", WriteMode::only_if_absent), true);
  EXPECT_EQ(write_file_atomic(dir.path() / "f", "second", WriteMode::only_if_absent), false);
  EXPECT_EQ(read_file(dir.path() / "f", 100), "first");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1) << "a temporary file was left";
}

TEST(File, ErrorsSayWhatIsWrong) {
  const test::TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir.path() / "f", "four", WriteMode::replace));
  EXPECT_EQ(read_file(dir.path() / "f", 3).error().code, "file_too_large");
  EXPECT_EQ(read_file(dir.path() / "absent", 3).error().kind, ErrorKind::not_found);
  EXPECT_FALSE(read_file(dir.path(), 100));
  EXPECT_EQ(write_file_atomic(dir.path() / "no" / "f", "x", WriteMode::replace).error().kind, ErrorKind::not_found);
}

TEST(File, AFullDiskIsNamed) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  // write_file_atomic writes beside its target, so the device itself can only be read here.
  EXPECT_FALSE(read_file("/dev/full", 100));
}

}  // namespace
}  // namespace imgrec::file_test
