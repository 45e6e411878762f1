#include "lib/base/digest.hpp"

#include <gtest/gtest.h>

#include "lib/base/file.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec {
namespace {

// FIPS 180-4 examples.
constexpr char kOfAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kOfNothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Sha256, MatchesThePublishedDigests) {
  EXPECT_EQ(sha256_hex("abc"), kOfAbc);
  EXPECT_EQ(sha256_hex(""), kOfNothing);
  Sha256 pieces;
  pieces.update("a");
  pieces.update("bc");
  EXPECT_EQ(pieces.finish_hex(), kOfAbc);
}

TEST(Sha256, OfAFile) {
  const test::TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir.path() / "f", "abc", WriteMode::replace));
  EXPECT_EQ(sha256_hex_of_file(dir.path() / "f"), kOfAbc);
  const auto absent = sha256_hex_of_file(dir.path() / "absent");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace imgrec
