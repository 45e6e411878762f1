// What earlier releases wrote is read today, and what a later one may write is neither misread nor replaced.
#include "tests/formats/formats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "lib/job/other_version.hpp"

namespace imgrec::formats_test {
namespace {

using nlohmann::json;
using test::Format;

struct Recorded {
  std::string release, format, text;
};

std::vector<Recorded> recorded() {
  std::vector<Recorded> all;
  for (const auto& folder : std::filesystem::directory_iterator(IMGREC_FORMATS)) {
    if (!folder.is_directory()) continue;
    std::ifstream file(folder.path() / "documents.jsonl");
    for (std::string line; std::getline(file, line);) {
      const json entry = json::parse(line);
      all.push_back({folder.path().filename(), entry.at("format"), entry.at("text")});
    }
  }
  return all;
}

std::set<std::string> names(const auto& list, auto member) {
  std::set<std::string> all;
  for (const auto& one : list) all.insert(one.*member);
  return all;
}

// Whether everything that `was` has is in `is`, which may have more.
bool holds(const json& is, const json& was) {
  if (was.is_object() && is.is_object()) {
    return std::ranges::all_of(was.items(), [&](const auto& member) {
      return member.key() == "v" || (is.contains(member.key()) && holds(is[member.key()], member.value()));
    });
  }
  if (was.is_array() && is.is_array() && was.size() == is.size()) {
    return std::ranges::equal(is, was, [](const json& a, const json& b) { return holds(a, b); });
  }
  return is == was;
}

Format format_of(const std::string& name) {
  const auto all = test::formats();
  return *std::ranges::find(all, name, &Format::name);
}

TEST(Formats, EveryReleaseHasRecordedSome) {
  EXPECT_THAT(names(recorded(), &Recorded::release), testing::Contains("0.1.0"));
  EXPECT_EQ(names(recorded(), &Recorded::format), names(test::formats(), &Format::name))
      << "record the documents of this version too: tests/formats/README.md";
}

TEST(Formats, WhatEarlierReleasesWroteIsReadWhole) {
  for (const Recorded& one : recorded()) {
    const auto read = format_of(one.format).reread(one.text);
    ASSERT_TRUE(read) << one.release << " " << one.format << ": " << describe(read.error());
    EXPECT_TRUE(holds(json::parse(*read), json::parse(one.text))) << one.release << " " << one.format << *read;
  }
}

TEST(Formats, WhatALaterReleaseMayWriteIsLeftToIt) {
  const std::set<std::string> own_words = {"leader_lease", "service_status", "access_keys"};
  for (const Format& format : test::formats()) {
    json later = json::parse(format.example);
    ASSERT_TRUE(later.contains("v")) << format.name;
    later["v"] = later["v"].get<int>() + 1;
    const auto read = format.reread(later.dump());
    ASSERT_FALSE(read) << format.name << " was taken for one of this version";
    EXPECT_EQ(is_other_version(read.error()), !own_words.contains(format.name))
        << format.name << ": " << describe(read.error());
  }
}

TEST(Formats, MembersThatALaterReleaseAddsAreIgnored) {
  for (const Format& format : test::formats()) {
    json more = json::parse(format.example);
    more["added"] = {{"by", "a later release"}};
    const auto read = format.reread(more.dump());
    ASSERT_TRUE(read) << format.name << ": " << describe(read.error());
  }
}

}  // namespace
}  // namespace imgrec::formats_test
