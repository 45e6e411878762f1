#include "tests/contract/store_contract.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace imgrec::test {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreContract);

void StoreContract::put(const std::string& key, const std::string& bytes) {
  const auto outcome = store().put(ObjectKey(key), bytes, {});
  ASSERT_TRUE(outcome) << key << ": " << describe(outcome.error());
  EXPECT_EQ(*outcome, PutOutcome::stored);
}

std::vector<std::string> StoreContract::keys(const std::string& prefix, int page) {
  std::vector<std::string> keys;
  std::string after;
  do {
    const auto listed = store().list(prefix, after, page);
    if (!listed) {
      ADD_FAILURE() << describe(listed.error());
      return keys;
    }
    EXPECT_LE(listed->objects.size(), static_cast<std::size_t>(page));
    for (const ObjectInfo& object : listed->objects) keys.push_back(object.key.str());
    after = listed->next;
  } while (!after.empty() && keys.size() < 10'000);
  return keys;
}

TEST_P(StoreContract, GivesBackWhatWasPut) {
  const std::string bytes("a\0\xFF\r\n", 5);
  put("inputs/01ARZ3NDEKTSV4RRFFQ69G5FAV", bytes);
  EXPECT_EQ(bytes_of(store().get(ObjectKey("inputs/01ARZ3NDEKTSV4RRFFQ69G5FAV"), 100)), bytes);
  put("empty", "");
  EXPECT_EQ(bytes_of(store().get(ObjectKey("empty"), 0)), "");
}

TEST_P(StoreContract, PutReplaces) {
  put("k", "first, and longer");
  put("k", "second");
  EXPECT_EQ(bytes_of(store().get(ObjectKey("k"), 100)), "second");
  EXPECT_THAT(keys(), ElementsAre("k"));
}

TEST_P(StoreContract, PutOnlyIfAbsentKeepsTheFirst) {
  const PutOptions options{.only_if_absent = true};
  EXPECT_EQ(store().put(ObjectKey("a/k"), "first", options), PutOutcome::stored);
  EXPECT_EQ(store().put(ObjectKey("a/k"), "second", options), PutOutcome::already_there);
  EXPECT_EQ(bytes_of(store().get(ObjectKey("a/k"), 100)), "first");
}

TEST_P(StoreContract, OfManyThatPutOnlyIfAbsentOneWins) {
  std::atomic<int> stored = 0, there = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        const auto outcome = store().put(ObjectKey("race/k"), std::to_string(i), {.only_if_absent = true});
        ASSERT_TRUE(outcome) << describe(outcome.error());
        ++(*outcome == PutOutcome::stored ? stored : there);
      });
    }
  }
  EXPECT_EQ(stored, 1);
  EXPECT_EQ(there, 7);
}

TEST_P(StoreContract, GetHeadAndListTellTheSameVersion) {
  put("a/k", "first");
  const auto read = store().get(ObjectKey("a/k"), 100);
  ASSERT_TRUE(read) << describe(read.error());
  EXPECT_NE(read->version, "");
  EXPECT_EQ(store().head(ObjectKey("a/k")).value().version, read->version);
  EXPECT_EQ(store().list("", "", 10).value().objects.at(0).version, read->version);
  put("a/k", "second");
  EXPECT_NE(store().head(ObjectKey("a/k")).value().version, read->version);
}

TEST_P(StoreContract, PutIfMatchReplacesOnlyThatVersion) {
  put("a/k", "1");
  const std::string first = store().head(ObjectKey("a/k")).value().version;
  EXPECT_EQ(store().put(ObjectKey("a/k"), "2", {.if_match = first}), PutOutcome::stored);
  EXPECT_EQ(store().put(ObjectKey("a/k"), "3", {.if_match = first}), PutOutcome::changed);
  EXPECT_EQ(bytes_of(store().get(ObjectKey("a/k"), 100)), "2");
  EXPECT_THAT(keys(), ElementsAre("a/k"));
}

TEST_P(StoreContract, PutIfMatchMakesNothing) {
  put("a/k", "1");
  const std::string version = store().head(ObjectKey("a/k")).value().version;
  const ObjectKey gone("a/k");
  ASSERT_TRUE(store().remove({&gone, 1}));
  EXPECT_EQ(store().put(gone, "2", {.if_match = version}), PutOutcome::changed);
  EXPECT_EQ(store().put(ObjectKey("never/there"), "2", {.if_match = version}), PutOutcome::changed);
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_P(StoreContract, OfManyThatSwapNoneIsLost) {
  constexpr int kThreads = 4, kSwaps = 10;
  put("counter", "0");
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int done = 0; done < kSwaps;) {
          const auto read = store().get(ObjectKey("counter"), 100);
          ASSERT_TRUE(read) << describe(read.error());
          const std::string next = std::to_string(std::stoi(read->bytes) + 1);
          const auto put = store().put(ObjectKey("counter"), next, {.if_match = read->version});
          if (!put && is_retryable(put.error().kind)) continue;  // a conflict: nothing was put
          ASSERT_TRUE(put) << describe(put.error());
          if (*put == PutOutcome::stored) ++done;
        }
      });
    }
  }
  EXPECT_EQ(bytes_of(store().get(ObjectKey("counter"), 100)), std::to_string(kThreads * kSwaps));
}

TEST_P(StoreContract, CallsKeepTheirLimits) {
  put("k");
  const CallLimits over(Deadline{MonoTime::min()});
  std::stop_source stopped;
  stopped.request_stop();
  const ObjectKey key("k");
  for (const auto& [limits, kind] :
       {std::pair(over, ErrorKind::transient), std::pair(CallLimits(stopped.get_token()), ErrorKind::cancelled)}) {
    EXPECT_EQ(store().put(key, "y", {}, limits).error().kind, kind);
    EXPECT_EQ(store().get(key, 10, limits).error().kind, kind);
    EXPECT_EQ(store().head(key, limits).error().kind, kind);
    EXPECT_EQ(store().list("", "", 10, limits).error().kind, kind);
    EXPECT_EQ(store().remove({&key, 1}, limits).error().kind, kind);
  }
  EXPECT_EQ(bytes_of(store().get(key, 10)), "x");
}

TEST_P(StoreContract, AReaderSeesAWholeObjectOrNone) {
  const std::string a(200'000, 'a'), b(150'000, 'b');
  put("k", a);
  std::jthread writer([&] {
    for (int i = 0; i < 20; ++i) put("k", i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 200; ++i) {
    const auto bytes = bytes_of(store().get(ObjectKey("k"), kMiB));
    ASSERT_TRUE(bytes) << describe(bytes.error());
    EXPECT_TRUE(*bytes == a || *bytes == b) << bytes->size();
  }
}

TEST_P(StoreContract, WhatIsNotThereIsNotFound) {
  put("a/b");
  for (const char* key : {"x", "a", "a/b/c", "a/x", "A/b"}) {
    const auto bytes = store().get(ObjectKey(key), 100);
    ASSERT_FALSE(bytes) << key;
    EXPECT_EQ(bytes.error().kind, ErrorKind::not_found);
    EXPECT_EQ(bytes.error().code, "no_such_object");
    EXPECT_EQ(store().head(ObjectKey(key)).error().code, "no_such_object");
  }
}

TEST_P(StoreContract, GetIsBounded) {
  put("k", "four");
  EXPECT_EQ(bytes_of(store().get(ObjectKey("k"), 4)), "four");
  const auto bytes = store().get(ObjectKey("k"), 3);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind, ErrorKind::invalid);
  EXPECT_EQ(bytes.error().code, "object_too_large");
}

TEST_P(StoreContract, HeadTellsTheSize) {
  put("a/k", "four");
  const auto info = store().head(ObjectKey("a/k"));
  ASSERT_TRUE(info) << describe(info.error());
  EXPECT_EQ(info->key, ObjectKey("a/k"));
  EXPECT_EQ(info->bytes, 4U);
  EXPECT_GT(info->modified_at, WallTime(Seconds(1'700'000'000)));
}

TEST_P(StoreContract, AKeyMayBeginAnother) {
  for (const char* key : {"a/b/c", "a/b", "a"}) put(key, key);
  for (const char* key : {"a", "a/b", "a/b/c"}) EXPECT_EQ(bytes_of(store().get(ObjectKey(key), 100)), key);
  const ObjectKey middle("a/b");
  ASSERT_TRUE(store().remove({&middle, 1}));
  EXPECT_THAT(keys(), ElementsAre("a", "a/b/c"));
}

TEST_P(StoreContract, TakesEveryLegalKey) {
  std::vector<std::string> all = {"plain",
                                  "with space",
                                  "per%cent",
                                  "%41",
                                  "plus+",
                                  "plus++",
                                  "+",
                                  "%",
                                  ".hidden",
                                  "a/.tmp",
                                  "..a",
                                  "a..",
                                  "...",
                                  "-rf",
                                  "~",
                                  "quote\"'`$(x)",
                                  "back\\slash",
                                  "C:\\x",
                                  "semi;colon|<>*?",
                                  "ümlaut/\xF0\x9F\x90\xAA",
                                  "CASE",
                                  "case",
                                  "a+/b",
                                  "a/b+",
                                  "@=,",
                                  std::string(79, 'x'),
                                  std::string(80, 'x'),
                                  std::string(81, 'x'),
                                  std::string(255, 'x'),
                                  std::string(300, '%'),
                                  std::string(GetParam().key_bytes_max, 'y'),
                                  std::string(80, 'z') + "/" + std::string(160, 'z') + "/end",
                                  std::string(511, '/')};
  for (std::size_t i = 0; i < 511; i += 2) all.back()[i] = 'd';  // 256 parts of one letter
  for (const std::string& key : all) put(key, key);
  for (const std::string& key : all) EXPECT_EQ(bytes_of(store().get(ObjectKey(key), 2000)), key);
  std::ranges::sort(all);
  EXPECT_THAT(keys(), ElementsAreArray(all));
  EXPECT_THAT(keys("", 1), ElementsAreArray(all));
  std::vector<ObjectKey> removed(all.begin(), all.end());
  EXPECT_TRUE(store().remove(removed));
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_P(StoreContract, RefusesEveryOtherKey) {
  for (const std::string& key :
       {std::string(), std::string("/"), std::string("/etc/passwd"), std::string("a/"), std::string("a//b"),
        std::string("."), std::string(".."), std::string("../x"), std::string("a/../../x"), std::string("a/./b"),
        std::string("a/.."), std::string("nul\0byte", 8), std::string("new\nline"), std::string("\x7F"),
        std::string("\xC0\xAE\xC0\xAE/x"), std::string("\xFF"), std::string(1025, 'x')}) {
    const ObjectKey bad(key);
    EXPECT_EQ(store().put(bad, "x", {}).error().code, "bad_key") << testing::PrintToString(key);
    EXPECT_EQ(store().get(bad, 10).error().code, "bad_key");
    EXPECT_EQ(store().head(bad).error().code, "bad_key");
    EXPECT_EQ(store().remove({&bad, 1}).error().code, "bad_key");
  }
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_P(StoreContract, ListsInByteOrder) {
  std::vector<std::string> all = {"a",   "a-", "a-/x", "a/",  "a/b",      "a/b-", "a/b/c",
                                  "a/c", "a0", "aa",   "b/x", "\xC3\xA4", "Z"};
  all.erase(std::ranges::find(all, "a/"));
  for (const std::string& key : all) put(key);
  std::ranges::sort(all);
  for (const int page : {1, 2, 3, 1000}) EXPECT_THAT(keys("", page), ElementsAreArray(all)) << page;
}

TEST_P(StoreContract, ListsByPrefix) {
  for (const char* key : {"inputs/a", "inputs/ab", "inputs/b", "inputs2/a", "results/a.json", "inputs/a/x"}) put(key);
  EXPECT_THAT(keys("inputs/"), ElementsAre("inputs/a", "inputs/a/x", "inputs/ab", "inputs/b"));
  EXPECT_THAT(keys("inputs/a"), ElementsAre("inputs/a", "inputs/a/x", "inputs/ab"));
  EXPECT_THAT(keys("inputs"), ElementsAre("inputs/a", "inputs/a/x", "inputs/ab", "inputs/b", "inputs2/a"));
  EXPECT_THAT(keys("none"), IsEmpty());
  EXPECT_THAT(keys("inputs//"), IsEmpty());
}

TEST_P(StoreContract, APageBeginsAfterAnyName) {
  for (const char* key : {"a", "b/x", "b/y", "c"}) put(key);
  const auto after = [&](const char* name) {
    std::vector<std::string> found;
    const auto page = store().list("", name, 10);
    for (const auto& object : page.value().objects) found.push_back(object.key.str());
    EXPECT_EQ(page->next, "");
    return found;
  };
  EXPECT_THAT(after("a"), ElementsAre("b/x", "b/y", "c"));
  EXPECT_THAT(after("b"), ElementsAre("b/x", "b/y", "c"));
  EXPECT_THAT(after("b/"), ElementsAre("b/x", "b/y", "c"));
  EXPECT_THAT(after("b/x"), ElementsAre("b/y", "c"));
  EXPECT_THAT(after("b/xx"), ElementsAre("b/y", "c"));
  EXPECT_THAT(after("b0"), ElementsAre("c"));
  EXPECT_THAT(after("c"), IsEmpty());
}

TEST_P(StoreContract, APageTellsWhetherThereIsMore) {
  for (const char* key : {"a", "b", "c"}) put(key, key);
  const auto first = store().list("", "", 2);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->next, "b");
  ASSERT_EQ(first->objects.size(), 2U);
  EXPECT_EQ(first->objects[0].bytes, 1U);
  EXPECT_EQ(store().list("", "", 3).value().next, "");
  EXPECT_EQ(store().list("", "", 0).error().kind, ErrorKind::invalid);
  EXPECT_EQ(store().list("", "", 1001).error().kind, ErrorKind::invalid);
}

TEST_P(StoreContract, RemovesWhatIsThere) {
  for (const char* key : {"a", "b", "c/d"}) put(key);
  const std::vector<ObjectKey> gone = {ObjectKey("a"), ObjectKey("never there"), ObjectKey("c/d"), ObjectKey("x/y/z")};
  EXPECT_TRUE(store().remove(gone));
  EXPECT_THAT(keys(), ElementsAre("b"));
  EXPECT_TRUE(store().remove({}));
  put("c/d", "again");
  EXPECT_THAT(keys(), ElementsAre("b", "c/d"));
}

TEST_P(StoreContract, RemoveGoesOnAfterABadKey) {
  put("a");
  put("b");
  const std::vector<ObjectKey> some = {ObjectKey("a"), ObjectKey(".."), ObjectKey("b")};
  EXPECT_EQ(store().remove(some).error().code, "bad_key");
  EXPECT_THAT(keys(), IsEmpty());
  EXPECT_EQ(store().remove(std::vector<ObjectKey>(1001, ObjectKey("a"))).error().kind, ErrorKind::invalid);
}

TEST_P(StoreContract, PuttingAndRemovingSideBySideLosesNothing) {
  std::jthread remover([&] {
    const ObjectKey other("folder/other");
    for (int i = 0; i < 50; ++i) {
      put("folder/other");
      EXPECT_TRUE(store().remove({&other, 1}));
    }
  });
  for (int i = 0; i < 50; ++i) {
    const std::string key = "folder/sub" + std::to_string(i % 3) + "/k";
    put(key);
    EXPECT_TRUE(store().head(ObjectKey(key)));
    const ObjectKey gone(key);
    EXPECT_TRUE(store().remove({&gone, 1}));
  }
}

}  // namespace imgrec::test
