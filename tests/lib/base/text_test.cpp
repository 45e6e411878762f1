#include "lib/base/text.hpp"

#include <gtest/gtest.h>

#include <cstdio>

namespace imgrec::text_test {
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

// Words of eight bytes are looked at together: a byte has to be found wherever it is in one.
TEST(JsonQuote, FindsEveryByteAtEveryPlace) {
  for (int byte = 0; byte < 0x80; ++byte) {
    for (std::size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(byte);
      std::string expected(1, text[at]);
      if (byte < 0x20 || byte == 0x7F) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(byte));
        expected = byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : byte == '\t' ? "\\t" : escape;
      }
      if (byte == '"' || byte == '\\') expected.insert(0, "\\");
      EXPECT_EQ(json_quote(text), '"' + std::string(at, 'x') + expected + std::string(19 - at, 'x') + '"');
      EXPECT_EQ(find_control(text), byte < 0x20 ? at : std::string::npos);
      EXPECT_TRUE(is_valid_utf8(text));
      text[at] = static_cast<char>(byte + 0x80);
      EXPECT_FALSE(is_valid_utf8(text));
    }
  }
  EXPECT_EQ(json_quote("käse \xFF 漢"), "\"käse \uFFFD 漢\"");
  EXPECT_EQ(find_control("\x01 12345678 \x02", 1), 11U);
  EXPECT_EQ(find_control("", 5), std::string::npos);
}

// A message of SQS may not hold them, and a file name may.
TEST(JsonQuote, EscapesWhatNoMessageMayHold) {
  for (std::size_t at = 0; at < 20; ++at) {
    const std::string before(at, 'x');
    EXPECT_EQ(json_quote(before + "\uFFFE!\uFFFF"), '"' + before + "\\ufffe!\\uffff\"");
    EXPECT_EQ(json_quote(before + "\uFFFD\uFF21\uFB01"), '"' + before + "\uFFFD\uFF21\uFB01\"");
  }
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
}  // namespace imgrec::text_test
