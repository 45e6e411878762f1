#include "cmd/files/image_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.hpp"

namespace imgrec::image_files_test {
namespace {

class ImageFilesTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::vector<std::string> found() const {
    std::vector<std::string> names;
    for (const ImageFile& file : find_image_files({folder_.path().string()})) {
      names.push_back(std::filesystem::path(file.path).lexically_relative(folder_.path()).string());
    }
    return names;
  }
  const std::string png_ = "\x89PNG\r\n\x1a\n";
  test::TempDir folder_;
};

TEST_F(ImageFilesTest, TakesWhatBeginsOrIsNamedLikeAnImageInNameOrder) {
  write("b.JPG", "");
  write("a", png_);
  write("c.txt", "text");
  write("B.tiff", "II");
  write("inner/z.webp", "");
  write("inner/deeper/y.bmp", "");
  EXPECT_THAT(found(), testing::ElementsAre("B.tiff", "a", "b.JPG", "inner/deeper/y.bmp", "inner/z.webp"));
}

TEST_F(ImageFilesTest, LeavesOutHiddenEntriesAndLinksToFolders) {
  write(".hidden/a.jpg", "");
  write(".a.jpg", "");
  write("real/a.jpg", "");
  std::filesystem::create_directory_symlink(folder_.path(), folder_.path() / "loop");
  std::filesystem::create_symlink(folder_.path() / "real" / "a.jpg", folder_.path() / "link.jpg");
  EXPECT_THAT(found(), testing::ElementsAre("link.jpg", "real/a.jpg"));
}

TEST_F(ImageFilesTest, TellsWhatItLeavesOut) {
  write("a.jpg", "");
  write("c.txt", "text");
  write("inner/b.doc", "text");
  write(".hidden", "text");
  std::vector<std::string> left_out;
  find_image_files({folder_.path().string()}, [&](const std::string& path) {
    left_out.push_back(std::filesystem::path(path).lexically_relative(folder_.path()).string());
  });
  EXPECT_THAT(left_out, testing::ElementsAre("c.txt", "inner/b.doc"));
}

TEST_F(ImageFilesTest, NamedFilesAreTakenAsTheyAre) {
  write("notes.txt", "text");
  const std::string notes = (folder_.path() / "notes.txt").string();
  const auto files = find_image_files({notes, "-", "/nonexistent"});
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path, notes);
  EXPECT_EQ(files[1].path, "-");
  EXPECT_EQ(files[2].path, "/nonexistent");
}

}  // namespace
}  // namespace imgrec::image_files_test
