#include "lib/local/dir_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>

#include "lib/base/clock.hpp"
#include "lib/base/file.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::dir_store_test {
namespace {

namespace fs = std::filesystem;

class DirStoreTest : public testing::Test {
 protected:
  test::TempDir dir_;
  const fs::path folder_ = dir_.path() / "store";
  std::unique_ptr<ObjectStore> store_ = open_dir_store(folder_).value();

  void put(const std::string& key, const std::string& bytes = "x") {
    ASSERT_EQ(store_->put(ObjectKey(key), bytes, {}), PutOutcome::stored);
  }
};

TEST_F(DirStoreTest, KeepsItsObjectsWhenOpenedAgain) {
  put("a/b", "bytes");
  store_ = open_dir_store(folder_).value();
  EXPECT_EQ(test::bytes_of(store_->get(ObjectKey("a/b"), 100)), "bytes");
}

TEST_F(DirStoreTest, FollowsNoLinkOutOfItsFolder) {
  const fs::path outside = dir_.path() / "outside";
  fs::create_directories(outside);
  std::ofstream(outside / "secret") << "secret";
  fs::create_directory_symlink(outside, folder_ / "folder+");
  fs::create_symlink(outside / "secret", folder_ / "file");
  for (const char* key : {"folder/secret", "file"}) {
    const auto bytes = store_->get(ObjectKey(key), 100);
    ASSERT_FALSE(bytes) << key;
    EXPECT_EQ(bytes.error().kind, ErrorKind::denied);
    EXPECT_EQ(store_->head(ObjectKey(key)).error().kind, ErrorKind::denied);
  }
  EXPECT_EQ(store_->put(ObjectKey("folder/new"), "x", {}).error().kind, ErrorKind::denied);
  EXPECT_FALSE(fs::exists(outside / "new"));
  const ObjectKey victim("folder/secret");
  EXPECT_FALSE(store_->remove({&victim, 1}));
  EXPECT_TRUE(fs::exists(outside / "secret"));
  EXPECT_TRUE(store_->list("", "", 10).value().objects.empty());
  put("file", "mine");  // replaces the link, not what it points at
  EXPECT_EQ(read_file(outside / "secret", 100), "secret");
}

TEST_F(DirStoreTest, IgnoresStrangersInItsFolder) {
  put("a");
  fs::create_directories(folder_ / "lost+found");
  std::ofstream(folder_ / ".hidden") << "x";
  std::ofstream(folder_ / "with space") << "x";
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  const auto page = store_->list("", "", 10);
  ASSERT_EQ(page->objects.size(), 1U);
  EXPECT_EQ(page->objects[0].key.str(), "a");
  EXPECT_FALSE(store_->get(ObjectKey("pipe"), 100)) << "and does not wait for a writer";
}

TEST_F(DirStoreTest, CleansUpWhatInterruptedWritesLeft) {
  const fs::path scratch = folder_ / ".tmp";
  std::ofstream(scratch / ".tmp-stale") << "half";
  std::ofstream(scratch / ".tmp-live") << "half";
  const Fd live(::open((scratch / ".tmp-live").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(live.get(), LOCK_EX), 0);  // as a writer does
  store_ = open_dir_store(folder_).value();
  EXPECT_FALSE(fs::exists(scratch / ".tmp-stale"));
  EXPECT_TRUE(fs::exists(scratch / ".tmp-live"));
}

TEST_F(DirStoreTest, AFolderThatWasRemovedIsMadeAnew) {
  ASSERT_TRUE(store_->put(ObjectKey("a/b"), "x", {}));
  fs::remove_all(folder_);
  EXPECT_EQ(store_->get(ObjectKey("a/b"), 100).error().kind, ErrorKind::not_found);
  fs::remove_all(folder_);
  EXPECT_EQ(store_->put(ObjectKey("a/b"), "y", {.only_if_absent = true}), PutOutcome::stored);
  EXPECT_EQ(test::bytes_of(store_->get(ObjectKey("a/b"), 100)), "y");
  fs::remove_all(folder_ / ".tmp");
  EXPECT_TRUE(store_->put(ObjectKey("c"), "z", {}));
}

TEST_F(DirStoreTest, AnObjectThatComesBackHasAnotherVersion) {
  // The file system uses inodes again at once, and its own times are those of the kernel's last tick.
  std::set<std::string> versions;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(store_->put(ObjectKey("k"), i % 2 == 0 ? "a" : "b", {}));
    versions.insert(store_->head(ObjectKey("k")).value().version);
  }
  EXPECT_EQ(versions.size(), 200U);
}

TEST_F(DirStoreTest, LeavesNothingBehind) {
  put("a/b/c");
  put("a/x");
  const ObjectKey deep("a/b/c"), other("a/x");
  ASSERT_TRUE(store_->remove({&deep, 1}));
  EXPECT_FALSE(fs::exists(folder_ / "a+" / "b+")) << "an empty folder makes listings slow";
  ASSERT_TRUE(store_->remove({&other, 1}));
  EXPECT_FALSE(fs::exists(folder_ / "a+"));
  EXPECT_TRUE(fs::is_empty(folder_ / ".tmp"));
}

TEST_F(DirStoreTest, AFailedWriteLeavesTheOldObject) {
  put("k", "old");
  // The kernel ends a write at this size with EFBIG, the nearest to a full disk that a test can have.
  rlimit before{}, small{1000, 0};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  small.rlim_max = before.rlim_max;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto outcome = store_->put(ObjectKey("k"), std::string(5000, 'n'), {});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::transient);
  EXPECT_EQ(test::bytes_of(store_->get(ObjectKey("k"), 100)), "old");
  EXPECT_TRUE(fs::is_empty(folder_ / ".tmp"));
}

TEST_F(DirStoreTest, ErrorsDoNotPrintControlCharacters) {
  const auto error = store_->get(ObjectKey("a\"b"), 1).error();
  EXPECT_NE(error.message.find("\"a\\\"b\""), std::string::npos) << error.message;
}

TEST(DirStore, SaysWhyItCannotBeOpened) {
  const test::TempDir dir;
  std::ofstream(dir.path() / "file") << "x";
  const auto store = open_dir_store(dir.path() / "file");
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("file"), std::string::npos);
  EXPECT_FALSE(open_dir_store(dir.path() / "file" / "below"));
  if (::geteuid() != 0) {  // root may write anywhere
    fs::create_directories(dir.path() / "locked");
    fs::permissions(dir.path() / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_EQ(open_dir_store(dir.path() / "locked").error().kind, ErrorKind::denied);
  }
}

TEST_F(DirStoreTest, ListsAPageOfManyObjectsQuickly) {
  fs::create_directories(folder_ / "inputs+");
  for (int i = 0; i < 4'000; ++i) {
    const std::string name = std::to_string(1'000'000 + i);
    Fd(::open((folder_ / "inputs+" / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)).reset();
  }
  std::string after = "inputs/1001999";
  const MonoTime start = system_clock().mono_now();
  const auto page = store_->list("inputs/", after, 1000);
  const double ms = elapsed_ms(start, system_clock().mono_now());
  ASSERT_EQ(page->objects.size(), 1000U);
  EXPECT_EQ(page->objects.front().key.str(), "inputs/1002000");
  EXPECT_EQ(page->next, "inputs/1002999");
  EXPECT_LT(ms, 2'000) << "takes a few ms on an idle machine";
}

}  // namespace
}  // namespace imgrec::dir_store_test
