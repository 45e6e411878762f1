#include "lib/base/log.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace imgrec::log::log_test {
namespace {

TEST(Log, TextIsKeyEqualsValue) {
  EXPECT_EQ(
      format_line(Format::text, Level::info, "worker", "job done", {{"job", JobId("01A")}, {"ms", 12.5}, {"ok", true}}),
      "level=info role=worker msg=\"job done\" job=01A ms=12.5 ok=true");
}

TEST(Log, AClientCannotForgeALine) {
  EXPECT_EQ(format_line(Format::text, Level::warning, "", "bad name", {{"name", "x\nlevel=error a=\"b\" \x1b[31m"}}),
            R"(level=warning msg="bad name" name="x\nlevel=error a=\"b\" \u001b[31m")");
}

TEST(Log, JsonKeepsTypes) {
  EXPECT_EQ(
      format_line(
          Format::json, Level::error, "web", "m",
          {{"n", 3}, {"s", "3"}, {"b", false}, {"infinite", std::numeric_limits<double>::infinity()}, {"bad", "\xff"}}),
      "\"level\":\"error\",\"role\":\"web\",\"msg\":\"m\",\"n\":3,\"s\":\"3\",\"b\":false,\"infinite\":\"inf\",\"bad\":"
      "\"\xEF\xBF\xBD\"}");
}

TEST(Log, ParsesItsSettings) {
  EXPECT_EQ(parse_level("warning"), Level::warning);
  EXPECT_EQ(parse_level("loud").error().kind, ErrorKind::invalid);
  EXPECT_EQ(parse_format("json"), Format::json);
  EXPECT_FALSE(parse_format("xml"));
}

}  // namespace
}  // namespace imgrec::log::log_test
