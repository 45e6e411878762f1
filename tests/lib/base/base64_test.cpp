#include "lib/base/base64.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imgrec::base64_test {
namespace {

TEST(Base64, DecodesTheExamplesOfTheStandardWithAndWithoutPadding) {
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("Zg=="), "f");
  EXPECT_EQ(base64_decode("Zm8="), "fo");
  EXPECT_EQ(base64_decode("Zm9v"), "foo");
  EXPECT_EQ(base64_decode("Zm9vYg"), "foob");
  EXPECT_EQ(base64_decode("Zm9vYmE"), "fooba");
  EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decode("+/+/AP8="), std::string("\xFB\xFF\xBF\x00\xFF", 5));
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Z", "Zm9vZ", "Zm9v\n", "Z===", "====", "Zm=v", "Zg==Zg==", "Zm-_", "Zm9\xFF"}) {
    const auto bytes = base64_decode(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_EQ(bytes.error().code, "bad_base64");
  }
}

}  // namespace
}  // namespace imgrec::base64_test
