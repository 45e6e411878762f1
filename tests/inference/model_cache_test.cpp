#include "inference/models/model_cache.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "lib/base/file.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::model_cache_test {
namespace {

namespace fs = std::filesystem;

class ModelCacheTest : public testing::Test {
 protected:
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    if (fs::exists(folder_)) {
      for (const auto& entry : fs::directory_iterator(folder_)) all.push_back(entry.path());
    }
    return all;
  }
  std::string found(const std::string& key) const {
    const auto entry = cache_.find(key);
    return entry ? std::string(entry->file->bytes().substr(entry->offset)) : "(none)";
  }
  static void rewrite(const fs::path& file, const std::string& bytes) {
    ASSERT_TRUE(write_file_atomic(file, bytes, WriteMode::replace));
  }

  test::TempDir dir_;
  fs::path folder_ = dir_.path() / "cache";
  ModelCache cache_{folder_};
};

TEST_F(ModelCacheTest, GivesBackWhatWasStored) {
  EXPECT_EQ(found("a"), "(none)");
  EXPECT_FALSE(fs::exists(folder_)) << "looking makes no folders";
  ASSERT_TRUE(cache_.store("a", "one"));
  ASSERT_TRUE(cache_.store("b", "two"));
  EXPECT_EQ(found("a"), "one");
  EXPECT_EQ(found("b"), "two");
  ASSERT_TRUE(cache_.store("a", std::string(100'000, 'x')));
  EXPECT_EQ(found("a"), std::string(100'000, 'x'));
  EXPECT_EQ(cache_.find("a")->offset % 4096, 0U);
  EXPECT_EQ(fs::status(folder_).permissions() & fs::perms::all, fs::perms::owner_all);
  cache_.remove("a");
  EXPECT_EQ(found("a"), "(none)");
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(ModelCacheTest, WithoutAFolderNothingIsKept) {
  const ModelCache none{{}};
  EXPECT_TRUE(none.store("a", "one"));
  EXPECT_FALSE(none.find("a"));
  const ModelCache lost{dir_.path() / "no" / "such"};
  EXPECT_EQ(lost.store("a", "one").error().code, "cache_unusable");
  EXPECT_FALSE(lost.find("a"));
}

TEST_F(ModelCacheTest, WhatIsDamagedIsNotGivenBackAndGoes) {
  ASSERT_TRUE(cache_.store("a", std::string(10'000, 'x')));
  const fs::path file = files().at(0);
  const std::string good = *read_file(file, kMiB);
  std::string flipped = good, renamed = good;
  flipped.back() = 'y';
  renamed[30] ^= 1;  // the key's digest
  for (const std::string& bad : {std::string(), good.substr(0, 100), good.substr(0, 4096), good.substr(0, 5000),
                                 good + "x", flipped, renamed, std::string(20'000, '\0')}) {
    rewrite(file, bad);
    EXPECT_EQ(found("a"), "(none)") << bad.size();
    EXPECT_EQ(fs::exists(file), false) << bad.size();
  }
  // The entry of another key under this one's name.
  rewrite(file, good);
  ASSERT_EQ(found("a"), std::string(10'000, 'x'));
  ASSERT_TRUE(cache_.store("b", "two"));
  for (const fs::path& other : files()) {
    if (other != file) fs::rename(other, file);
  }
  EXPECT_EQ(found("a"), "(none)");
}

TEST_F(ModelCacheTest, WhatOthersCouldHaveWrittenIsNotRead) {
  ASSERT_TRUE(cache_.store("a", "one"));
  const fs::path file = files().at(0);
  ASSERT_EQ(::chmod(file.c_str(), 0666), 0);
  EXPECT_EQ(found("a"), "(none)");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  EXPECT_EQ(found("a"), "one");
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  EXPECT_EQ(found("a"), "(none)");
  EXPECT_EQ(cache_.store("b", "two").error().code, "cache_unusable");
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  EXPECT_EQ(found("a"), "one");
  // Links lead elsewhere, and a pipe would never end.
  fs::rename(file, dir_.path() / "elsewhere");
  fs::create_symlink(dir_.path() / "elsewhere", file);
  EXPECT_EQ(found("a"), "(none)");
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(found("a"), "(none)");
  fs::create_directory_symlink(folder_, dir_.path() / "link");
  EXPECT_FALSE(ModelCache(dir_.path() / "link").find("a"));
}

TEST_F(ModelCacheTest, TheLeastUsedGoFirst) {
  const auto set_used = [&](const std::string& content, int seconds) {
    for (const fs::path& file : files()) {
      if (!read_file(file, kMiB)->ends_with("\0" + content)) continue;
      const timespec times[2] = {{seconds, 0}, {seconds, 0}};
      ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    }
  };
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(cache_.store("key" + std::to_string(i), "content" + std::to_string(i)));
    set_used("content" + std::to_string(i), 1000 + i);
  }
  ASSERT_EQ(files().size(), 8U);
  EXPECT_EQ(found("key0"), "content0");  // the oldest, but just used
  ASSERT_TRUE(cache_.store("key8", "content8"));
  EXPECT_EQ(files().size(), 8U);
  EXPECT_EQ(found("key0"), "content0");
  EXPECT_EQ(found("key1"), "(none)");
  EXPECT_EQ(found("key8"), "content8");
}

TEST_F(ModelCacheTest, WhatAnInterruptedWriteLeftIsRemoved) {
  ASSERT_TRUE(cache_.store("a", "one"));
  rewrite(folder_ / ".tmp-0123456789abcdef01234567", "half");
  ASSERT_TRUE(cache_.store("b", "two"));
  EXPECT_EQ(files().size(), 2U);
}

}  // namespace
}  // namespace imgrec::model_cache_test
