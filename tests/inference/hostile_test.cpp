// Third-party suites of damaged, huge and foreign files: each is an answer or a clear error, in bounded time and
// memory. In a process of its own, so that a crash is a failed test and its memory can be measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <regex>
#include <sstream>

#include "lib/base/file.hpp"
#include "tests/inference/encode.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

#ifdef __SANITIZE_ADDRESS__
constexpr long kPeakKibMax = 4 * 512 * 1024;  // the sanitizer keeps shadows of all memory, and freed memory for a while
#else
constexpr long kPeakKibMax = 512 * 1024;
#endif
constexpr double kFileMsMax = 10'000;

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string quoted(const fs::path& path) {
  return "'" + path.string() + "'";
}

struct Outcome {
  int status = -1;
  std::vector<std::string> lines;  // one per file
  long peak_kib = 0;
};

Outcome classify_all(const fs::path& weights, const std::vector<fs::path>& files) {
  const test::TempDir dir;
  const fs::path errors = dir.path() / "stderr";
  std::string command = std::string("'") + IMGREC_PROBE + "' classify " + quoted(weights) + " tf";
  for (const fs::path& file : files) command += " " + quoted(file);
  command += " 2>" + quoted(errors);
  Outcome run;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), got);
  run.status = ::pclose(pipe);
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) run.lines.push_back(line);
  const std::string text = *read_file(errors, 64 * kMiB);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << "libraries print to stderr:\n" << text;
  std::sscanf(text.c_str(), "peak_kib %ld", &run.peak_kib);
  return run;
}

class Hostile : public testing::TestWithParam<const char*> {};

TEST_P(Hostile, EachFileIsAnAnswerOrAClearError) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata(GetParam()));
  const auto files = files_of(folder);
  const Outcome run = classify_all(weights, files);
  EXPECT_TRUE(WIFEXITED(run.status) && WEXITSTATUS(run.status) == 0) << "ended with status " << run.status;
  ASSERT_EQ(run.lines.size(), files.size()) << "crashed at " << files[std::min(run.lines.size(), files.size() - 1)];
  const std::regex form(
      "([0-9]+) ([0-9]+ [01]\\.[0-9]+|(unsupported_format|image_too_large|image_truncated|image_corrupt): .{10,})");
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::smatch match;
    ASSERT_TRUE(std::regex_match(run.lines[i], match, form)) << files[i] << ": " << run.lines[i];
    EXPECT_LT(std::stod(match[1]), kFileMsMax) << files[i];
  }
  EXPECT_GT(run.peak_kib, 0);
  EXPECT_LT(run.peak_kib, kPeakKibMax);
}

INSTANTIATE_TEST_SUITE_P(Suites, Hostile,
                         testing::Values("badimg-image-rs", "badimg-libpng", "badimg-pillow", "badimg-sharp",
                                         "wrong-type-mini"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// What some files of the suites must come out as.
TEST(HostileFiles, KnownOnes) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  IMGREC_NEED_SHARED(sharp, test::unpacked_testdata("badimg-sharp"));
  IMGREC_NEED_SHARED(pillow, test::unpacked_testdata("badimg-pillow"));
  IMGREC_NEED_SHARED(libpng, test::unpacked_testdata("badimg-libpng"));
  IMGREC_NEED_SHARED(types, test::unpacked_testdata("wrong-type-mini"));
  const std::vector<std::pair<fs::path, std::string>> expected = {
      {sharp / "truncated.jpg", "image_truncated"},
      {sharp / "truncated.png", "image_truncated"},
      {sharp / "giant-image.jpg", "image_too_large"},
      {sharp / "65536-uint32-limit.png", "image_too_large"},
      {sharp / "check.svg", "unsupported_format"},
      {sharp / "relax.jp2", "unsupported_format"},
      {sharp / "Channel_digital_image_CMYK_color_no_profile.jpg", "0\\."},
      {sharp / "animated-loop-3.webp", "0\\."},
      {pillow / "truncated_jpeg.jpg", "image_truncated"},
      {pillow / "broken_data_stream.png", "image_corrupt"},
      {pillow / "png_decompression_dos.png", "0\\."},
      {pillow / "hopper_bad_exif.jpg", "0\\."},
      {pillow / "pil_sample_cmyk.jpg", "0\\."},
      {pillow / "hopper.gif", "0\\."},
      {libpng / "testpngs/badpal/small-palette-8.png", "image_corrupt"},
      {libpng / "testpngs/crashers/badcrc.png", "image_corrupt"},
      {libpng / "testpngs/gray-alpha-16-sRGB.png", "0\\."},
      {types / "pdf.pdf", "unsupported_format"},
      {types / "elf.elf", "unsupported_format"},
      {types / "mp4.mp4", "unsupported_format"},
      {types / "bmp.bmp", "0\\."},
      {types / "png.png", "0\\."},
      {types / "jpg.jpg", "0\\."}};
  std::vector<fs::path> files;
  for (const auto& [file, outcome] : expected) files.push_back(file);
  const Outcome run = classify_all(weights, files);
  ASSERT_EQ(run.lines.size(), files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_TRUE(std::regex_search(run.lines[i], std::regex(expected[i].second))) << files[i] << ": " << run.lines[i];
  }
}

// A progressive JPEG of 25 megapixels in 150 kB: one scan for the averages, 98 that say "nothing here" for all blocks.
std::string scan_bomb() {
  const auto segment = [](char marker, const std::string& payload) {
    const std::size_t length = payload.size() + 2;
    return std::string("\xFF") + marker + static_cast<char>(length >> 8) + static_cast<char>(length) + payload;
  };
  using namespace std::string_literals;
  constexpr int kBlocks = 625 * 625;
  std::string bytes = "\xFF\xD8"s + segment('\xDB', "\0"s + std::string(64, '\1')) +
                      segment('\xC2', "\x08\x13\x88\x13\x88\3\1\x11\0\2\x11\0\3\x11\0"s) +  // 5000 x 5000, 3 components
                      segment('\xC4', "\x00\1"s + std::string(15, '\0') + "\0"s) +  // code 0: no change of the average
                      segment('\xC4', "\x10\1"s + std::string(15, '\0') + "\xE0"s) +  // code 0: a run of 2^14 + 14 bits
                      segment('\xDA', "\3\1\0\2\0\3\0\0\0\0"s) + std::string((3 * kBlocks + 7) / 8, '\0');
  for (int scan = 1; scan < 99; ++scan) {
    const char component = static_cast<char>(1 + scan % 3), coefficient = static_cast<char>(1 + scan / 3);
    const std::string header{1, component, 0, coefficient, coefficient, 0};
    // 24 runs of 16,384 blocks: 15 zero bits each.
    bytes += segment('\xDA', header) + std::string(24 * 15 / 8, '\0');
  }
  return bytes + "\xFF\xD9"s;
}

TEST(HostileFiles, TheLargestAllowedStayWithinMemoryAndTime) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  const test::TempDir dir;
  const Image large = test::gradient(5000, 5000);
  const std::vector<std::pair<std::string, std::string>> images = {
      {"bomb.jpg", scan_bomb()},
      {"turned.jpg", test::encode_jpeg(large, {.progressive = true, .quality = 60, .exif = test::exif_block(6, true)})},
      {"cmyk.jpg", test::encode_jpeg(large, {.cmyk = true, .progressive = true, .quality = 60})},
      {"large.png", test::encode_png(large, {.alpha = true, .interlaced = true})}};
  std::vector<fs::path> files;
  for (const auto& [name, bytes] : images) {
    ASSERT_LT(bytes.size(), 20 * kMiB) << name;
    files.push_back(dir.path() / name);
    ASSERT_TRUE(write_file_atomic(files.back(), bytes, WriteMode::replace));
  }
  const Outcome run = classify_all(weights, files);
  ASSERT_EQ(run.lines.size(), files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_TRUE(std::regex_match(run.lines[i], std::regex("[0-9]+ [0-9]+ [01]\\.[0-9]+")))
        << files[i] << ": " << run.lines[i];
    EXPECT_LT(std::stod(run.lines[i]), kFileMsMax) << files[i];
  }
  EXPECT_GT(run.peak_kib, 0);
  EXPECT_LT(run.peak_kib, kPeakKibMax);
}

}  // namespace
}  // namespace imgrec
