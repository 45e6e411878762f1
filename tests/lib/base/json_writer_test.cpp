#include "lib/base/json_writer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

namespace imgrec::json_writer_test {
namespace {

TEST(JsonWriter, ObjectsListsAndValuesInOneLine) {
  JsonWriter json;
  json.begin_object().member("text", "a").member("yes", true).member("no", false).member("count", 3);
  json.begin_list("list").element("x").element(1).begin_object().member("in", 2).end_object().begin_list().end_list();
  json.end_list().begin_object("empty").end_object().begin_list("none").end_list().member("last", 1).end_object();
  EXPECT_EQ(json.finish(),
            R"({"text":"a","yes":true,"no":false,"count":3,"list":["x",1,{"in":2},[]],"empty":{},"none":[],"last":1})");
}

TEST(JsonWriter, IndentedIsWhatReadersKnow) {
  JsonWriter json(0, JsonLayout::indented);
  json.begin_object().member("ok", true).begin_list("checks");
  json.begin_object().member("name", "disk").end_object().begin_object().end_object().end_list();
  json.begin_list("none").end_list().end_object();
  const std::string text = json.finish();
  EXPECT_EQ(text, nlohmann::ordered_json::parse(text).dump(2));
}

TEST(JsonWriter, HostileTextsStayTexts) {
  const std::string all_bytes = [] {
    std::string out;
    for (int byte = 0; byte < 256; ++byte) out += static_cast<char>(byte);
    return out;
  }();
  for (const std::string& text :
       {std::string("\",\"admin\":true,\""), std::string("\\"), std::string("\\\""), std::string("line\nline\r\t"),
        std::string("a\0b", 3), std::string("\x7F\x1B[2J"), std::string("\xC0\xAF\xED\xA0\x80"),
        std::string("</script>\u2028"), std::string(), all_bytes}) {
    JsonWriter json;
    json.begin_object().member(text, text).begin_list("l").element(text).end_list().end_object();
    const auto read = nlohmann::json::parse(json.finish(), nullptr, false);
    ASSERT_TRUE(read.is_object()) << text;
    EXPECT_EQ(read.size(), text == "l" ? 1 : 2);
    EXPECT_EQ(read.at(to_valid_utf8(text)), to_valid_utf8(text));
    EXPECT_EQ(read.at("l").at(0), to_valid_utf8(text));
  }
}

TEST(JsonWriter, NumbersReadBackAsTheyWere) {
  for (const double value : {0.0, 0.1, 1e300, -5e-324, 1.0 / 3}) {
    JsonWriter json;
    json.begin_list().element(value).end_list();
    EXPECT_EQ(nlohmann::json::parse(json.finish()).at(0).get<double>(), value);
  }
  JsonWriter json;
  json.begin_list()
      .element(std::numeric_limits<std::uint64_t>::max())
      .element(std::numeric_limits<std::int64_t>::min());
  json.element(std::numeric_limits<double>::quiet_NaN()).element(-std::numeric_limits<double>::infinity()).end_list();
  EXPECT_EQ(json.finish(), "[18446744073709551615,-9223372036854775808,null,null]");
}

TEST(JsonWriter, WhatIsJsonAlreadyGoesInAsItIs) {
  JsonWriter json;
  json.begin_object().member_json("stored", R"({"v":1})").begin_list("all").element_json("[1]").element_json("2");
  EXPECT_EQ(json.end_list().end_object().finish(), R"({"stored":{"v":1},"all":[[1],2]})");
}

}  // namespace
}  // namespace imgrec::json_writer_test
