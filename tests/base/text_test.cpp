#include "lib/base/text.hpp"

#include <gtest/gtest.h>

namespace imgrec {
namespace {

TEST(Utf8, ReplacesOnlyWhatIsWrong) {
  EXPECT_EQ(to_valid_utf8("aé漢😀"), "aé漢😀");
  EXPECT_EQ(to_valid_utf8("a\xC0\xAF"
                          "b"),
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b")
      << "overlong";
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80")) << "surrogate";
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80")) << "beyond U+10FFFF";
  EXPECT_FALSE(is_valid_utf8("\xE2\x82")) << "cut";
  EXPECT_TRUE(is_valid_utf8("\xF4\x8F\xBF\xBF"));
}

TEST(JsonQuote, EscapesControlsAndQuotes) {
  EXPECT_EQ(json_quote("a\"\\\n\x01"), R"("a\"\\\n\u0001")");
}

TEST(Nearest, FindsATypoAndNothingFar) {
  const std::vector<std::string> keys{"web.port", "web.bind", "worker.threads"};
  EXPECT_EQ(nearest("web.prot", keys), "web.port");
  EXPECT_EQ(nearest("worker.thread", keys), "worker.threads");
  EXPECT_EQ(nearest("controller.max", keys), "");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
}

TEST(Trim, TakesWhiteSpaceOffBothEnds) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim("  "), "");
}

}  // namespace
}  // namespace imgrec
