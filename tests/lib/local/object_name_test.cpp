#include "lib/local/object_name.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imgrec::object_name_test {
namespace {

using testing::ElementsAre;

TEST(ObjectName, IsReadable) {
  const auto path = object_path("results/01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
  ASSERT_TRUE(path);
  EXPECT_THAT(path->folders, ElementsAre("results+"));
  EXPECT_EQ(path->file, "01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
}

TEST(ObjectName, EscapesWhatMeansSomething) {
  EXPECT_EQ(object_path(".hidden")->file, "%2Ehidden");
  EXPECT_EQ(object_path("a+")->file, "a%2B");
  EXPECT_EQ(object_path("100%")->file, "100%25");
  EXPECT_EQ(object_path("a b\\c")->file, "a%20b%5Cc");
  EXPECT_EQ(object_path("\xC3\xA4")->file, "%C3%A4");
}

TEST(ObjectName, CutsLongParts) {
  const auto path = object_path(std::string(80, 'a') + std::string(80, 'b') + "/c");
  EXPECT_THAT(path->folders, ElementsAre(std::string(80, 'a') + "++", std::string(80, 'b') + "++", "%+"));
  EXPECT_EQ(path->file, "c");
  const auto widest = object_path(std::string(1000, '%'));
  for (const std::string& name : widest->folders) EXPECT_LE(name.size(), 255U);
}

TEST(ObjectName, ReadsItsOwnNamesOnly) {
  const auto text = [](const char* name) { return parse_object_name(name).value().text; };
  EXPECT_EQ(text("%2Ehidden"), ".hidden");
  EXPECT_EQ(text("a+"), "a/");
  EXPECT_EQ(text("%"), "");
  EXPECT_EQ(text("%+"), "/");
  EXPECT_TRUE(parse_object_name("a+").value().is_folder);
  EXPECT_FALSE(parse_object_name("a").value().is_folder);
  for (const char* stranger : {".", "..", ".tmp", ".hidden", "", "+", "++", "a++", "lost+found", "a b", "%2", "%zz",
                               "%61", "%2e", "%%", "a%", "\xC3\xA4"}) {
    EXPECT_FALSE(parse_object_name(stranger)) << stranger;
  }
  EXPECT_FALSE(parse_object_name(std::string(81, 'a')));
  EXPECT_FALSE(parse_object_name(std::string(80, 'a') + "+"));
}

}  // namespace
}  // namespace imgrec::object_name_test
