#include "lib/local/folder_reader.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.hpp"

namespace imgrec::folder_reader_test {
namespace {

namespace fs = std::filesystem;

class FolderReaderTest : public testing::Test {
 protected:
  FolderReaderTest() {
    fs::create_directories(root_ / "photos" / "2026");
    fs::create_directories(root_ / "secret");
    write(root_ / "photos" / "2026" / "a cat.jpg", "cat");
    write(root_ / "secret" / "key", "secret");
    write(dir_.path() / "outside", "outside");
  }

  static void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

  Result<std::string> read(const std::string& bucket, const std::string& key, const std::string& version = "") {
    return reader_->read({.bucket = bucket, .key = ObjectKey(key), .version = version}, 100, {});
  }
  std::string error_of(const std::string& bucket, const std::string& key, const std::string& version = "") {
    const auto bytes = read(bucket, key, version);
    return bytes ? "read: " + *bytes : bytes.error().code;
  }

  test::TempDir dir_;
  const fs::path root_ = dir_.path() / "buckets";
  std::unique_ptr<ObjectReader> reader_ = make_folder_reader(root_);
};

TEST_F(FolderReaderTest, ReadsPlainFiles) {
  EXPECT_EQ(read("photos", "2026/a cat.jpg"), "cat");
  fs::create_directory_symlink(root_ / "photos", root_ / "linked");
  EXPECT_EQ(read("linked", "2026/a cat.jpg"), "cat") << "whoever runs the service may link a bucket to another folder";
}

TEST_F(FolderReaderTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(error_of("photos", "2026/dog.jpg"), "no_such_object");
  EXPECT_EQ(error_of("photos", "2026"), "no_such_object") << "a folder is no object";
  EXPECT_EQ(error_of("photos", "2026/a cat.jpg/x"), "no_such_object");
  EXPECT_EQ(error_of("other", "2026/a cat.jpg"), "no_such_object");
  EXPECT_EQ(error_of("photos", std::string(300, 'x')), "no_such_object");
  ASSERT_EQ(::mkfifo((root_ / "photos" / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_of("photos", "pipe"), "no_such_object") << "and nobody waits for who writes into it";
}

TEST_F(FolderReaderTest, NothingOutsideTheBucketIsRead) {
  for (const char* key : {"../secret/key", "2026/../../secret/key", "/etc/passwd", "..", ".", "2026//a cat.jpg", "",
                          "./2026/a cat.jpg", "2026/"}) {
    EXPECT_EQ(error_of("photos", key), "bad_object_reference") << key;
  }
  for (const char* bucket : {"..", "../secret", "photos/2026", ".", "", "a", "photos/", "Photos", "a..b", "-ab"}) {
    EXPECT_EQ(error_of(bucket, "key"), "bad_object_reference") << bucket;
  }
  fs::create_symlink(dir_.path() / "outside", root_ / "photos" / "link");
  fs::create_directory_symlink(root_ / "secret", root_ / "photos" / "folder");
  EXPECT_EQ(error_of("photos", "link"), "no_such_object");
  EXPECT_EQ(error_of("photos", "folder/key"), "no_such_object");
}

TEST_F(FolderReaderTest, HasLimits) {
  write(root_ / "photos" / "full", std::string(100, 'x'));
  write(root_ / "photos" / "large", std::string(101, 'x'));
  EXPECT_TRUE(read("photos", "full"));
  EXPECT_EQ(error_of("photos", "large"), "object_too_large");
  EXPECT_EQ(error_of("photos", "full", "1"), "bad_object_reference") << "files have no versions";
}

TEST(HasBucket, TakesWholeNames) {
  EXPECT_TRUE(has_bucket("photos", "photos"));
  EXPECT_TRUE(has_bucket("scans, photos", "photos"));
  EXPECT_FALSE(has_bucket("photos-2026", "photos"));
  EXPECT_FALSE(has_bucket("", "photos"));
}

}  // namespace
}  // namespace imgrec::folder_reader_test
