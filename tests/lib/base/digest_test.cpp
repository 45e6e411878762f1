#include "lib/base/digest.hpp"

#include <gtest/gtest.h>

#include "lib/base/file.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::digest_test {
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

// RFC 1321, appendix A.5.
TEST(Md5, OfTheExamples) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(md5_hex("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
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
}  // namespace imgrec::digest_test
