// Third-party suites of damaged, huge and foreign files: each is an answer or a clear error, in bounded time and
// memory. In a process of its own, so that a crash is a failed test and its memory can be measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>

#include "lib/base/file.hpp"
#include "tests/inference/encode.hpp"
#include "tests/inference/named_engine.hpp"
#include "tests/inference/tiny_ir.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/emulator.hpp"
#include "tests/support/long_run.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::hostile_test {
namespace {

namespace fs = std::filesystem;

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
constexpr long kPeakKibMax = 4 * 512 * 1024;  // the sanitizer keeps shadows of all memory, and freed memory for a while
#else
constexpr bool kSanitized = false;
constexpr long kPeakKibMax = 512 * 1024;
#endif

// Natively; in an emulator thirty times as much, and the memory of the translated program beside its own.
const double kFileMsMax = test::emulator() ? 300'000 : 10'000;
const long kEmulatorKib = test::emulator() ? 256 * 1024 : 0;

// OpenVINO for arm64 says so where /sys does not tell the processor's number, as on the machine beneath an emulator.
constexpr const char* kNoArmSystem = "[^\n]*Can't open MIDR_EL1 sysfs entry\n";

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// In the everyday run the first of each kind (folder and extension) and every fourth after it: always the same ones.
std::vector<fs::path> sample(const std::vector<fs::path>& files) {
  if (test::long_run()) return files;
  std::map<std::pair<fs::path, fs::path>, int> seen;
  std::vector<fs::path> some;
  for (const fs::path& file : files) {
    if (seen[{file.parent_path(), file.extension()}]++ % 4 == 0) some.push_back(file);
  }
  return some;
}

std::string quoted(const fs::path& path) {
  return "'" + path.string() + "'";
}

struct Outcome {
  int status = -1;
  std::vector<std::string> lines;  // one per file
  long peak_kib = 0;
};

// what: the probe's command and what comes before the files.
Outcome probe(const std::string& what, const std::vector<fs::path>& files) {
  const test::TempDir dir;
  const fs::path errors = dir.path() / "stderr";
  std::string command = test::emulator().value_or("") + " '" + IMGREC_PROBE + "' " + what;
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
  std::string text = *read_file(errors, 64 * kMiB);
  if (test::emulator()) text = std::regex_replace(text, std::regex(kNoArmSystem), "");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << "libraries print to stderr:\n" << text;
  std::sscanf(text.c_str(), "peak_kib %ld", &run.peak_kib);
  return run;
}

Outcome classify_all(const fs::path& weights, const std::vector<fs::path>& files,
                     const std::string& engine = "opencv") {
  return probe("classify " + engine + " " + quoted(weights) + " tf", files);
}

class Hostile : public testing::TestWithParam<const char*> {};

TEST_P(Hostile, EachFileIsAnAnswerOrAClearError) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata(GetParam()));
  const auto files = sample(files_of(folder));
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
  EXPECT_LT(run.peak_kib, kPeakKibMax + kEmulatorKib);
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
      {pillow / "truncated_jpeg.jpg", "0\\."},  // of its end mark only
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
  for (const std::string engine : {"opencv", "openvino-f32"}) {
    if (!test::can_run(engine)) continue;
    const Outcome run = classify_all(weights, files, engine);
    ASSERT_EQ(run.lines.size(), files.size()) << engine;
    for (std::size_t i = 0; i < files.size(); ++i) {
      EXPECT_TRUE(std::regex_search(run.lines[i], std::regex(expected[i].second)))
          << engine << " " << files[i] << ": " << run.lines[i];
    }
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
  const int side = test::shortened_run() ? 2500 : 5000;
  const Image large = test::gradient(side, side);
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
  EXPECT_LT(run.peak_kib, kPeakKibMax + kEmulatorKib);
}

// One byte of a good file, changed in a way that depends on `number` alone.
std::string mutated(std::string bytes, unsigned number) {
  const std::size_t at = (number * 2654435761U) % bytes.size();
  bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << (number % 8)));
  return bytes;
}

class HostileModels : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!test::can_run(GetParam())) GTEST_SKIP() << GetParam() << " is not to be had here";
  }
  bool is_ir() const { return std::string(GetParam()) == "openvino-int8"; }

  // name: without its extension.
  void add(const std::string& name, const std::string& graph, const std::string& weights = {}) {
    files_.push_back(dir_.path() / (name + (is_ir() ? ".xml" : ".onnx")));
    ASSERT_TRUE(write_file_atomic(files_.back(), graph, WriteMode::replace));
    if (is_ir()) {
      ASSERT_TRUE(write_file_atomic(dir_.path() / (name + ".bin"), weights, WriteMode::replace));
    }
  }

  void expect_answers_or_clear_errors() {
    const Outcome run = probe(std::string("load ") + GetParam(), files_);
    EXPECT_TRUE(WIFEXITED(run.status) && WEXITSTATUS(run.status) == 0) << "ended with status " << run.status;
    ASSERT_EQ(run.lines.size(), files_.size())
        << "crashed at " << files_[std::min(run.lines.size(), files_.size() - 1)];
    for (std::size_t i = 0; i < files_.size(); ++i) {
      EXPECT_TRUE(std::regex_match(run.lines[i], std::regex("ok [0-9]+|model_unusable: .{30,}"))) << run.lines[i];
    }
    EXPECT_LT(run.peak_kib, kPeakKibMax + kEmulatorKib);
  }

  test::TempDir dir_;
  std::vector<fs::path> files_;
};
INSTANTIATE_TEST_SUITE_P(Engines, HostileModels, testing::Values("opencv", "openvino-f32", "openvino-int8"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(HostileModels, EachDamagedByteIsAnAnswerOrAClearError) {
  const unsigned count = test::shortened_run() ? 80 : 200;
  for (unsigned i = 0; i < count; ++i) {
    if (is_ir())
      add("m" + std::to_string(i), mutated(test::encode_ir(), i), test::encode_ir_weights());
    else
      add("m" + std::to_string(i), mutated(test::encode_onnx(), i));
  }
  expect_answers_or_clear_errors();
}

TEST_P(HostileModels, RealWeightsCutAnywhere) {
  if (is_ir()) GTEST_SKIP() << "a short IR: engine_test";
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  const std::string bytes = *read_file(weights, 100 * kMiB);
  for (const double part : {0.0001, 0.1, 0.5, 0.9, 0.999, 0.99999}) {
    add("m" + std::to_string(files_.size()),
        bytes.substr(0, static_cast<std::size_t>(part * static_cast<double>(bytes.size()))));
  }
  expect_answers_or_clear_errors();
}

// engine model profile TIMES: the resident KiB that the second nine tenths of so many images added.
long growth_kib(const std::string& engine, const fs::path& weights, const std::string& profile, int times,
                const std::vector<fs::path>& files) {
  const Outcome run =
      probe("repeat " + engine + " " + quoted(weights) + " " + profile + " " + std::to_string(times), files);
  long early = 0, late = 0;
  EXPECT_EQ(run.lines.size(), 1U) << "ended with status " << run.status;
  if (run.lines.size() == 1) std::sscanf(run.lines[0].c_str(), "%ld %ld", &early, &late);
  EXPECT_GT(early, 0);
  return late - early;
}

TEST(Memory, IsTheSameAfterThousandsOfImages) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer keeps what was freed";
  IMGREC_NEED_SHARED(mobilenet, test::shared_path("models/mobilenetv2-tf2.onnx"));
  IMGREC_NEED_SHARED(folder, test::shared_path("photos/imagenet-100"));
  std::vector<fs::path> photos = files_of(folder);
  std::erase_if(photos, [](const fs::path& file) { return file.extension() != ".JPEG"; });
  ASSERT_EQ(photos.size(), 100U);
  const bool fast = test::can_run("openvino-f32");
  const std::string engine = test::can_run("openvino-bf16") ? "openvino-bf16" : fast ? "openvino-f32" : "opencv";
  const int times = test::long_run() ? 10'000 : 2'000, times_opencv = test::long_run() ? 500 : 100;
  EXPECT_LT(growth_kib(engine, mobilenet, "tf", fast ? times : times_opencv, photos), 4 * 1024) << engine;
  EXPECT_LT(growth_kib("opencv", mobilenet, "tf", times_opencv, photos), 4 * 1024);
}

// What is prepared for a size is kept for a few of them only.
TEST(Memory, IsBoundedWhenEachImageHasItsOwnSize) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer keeps what was freed";
  if (!test::can_run("openvino-f32")) GTEST_SKIP() << "this build has no OpenVINO";
  IMGREC_NEED_SHARED(resnet, test::shared_path("models/resnet18-pqf.onnx"));
  const test::TempDir dir;
  std::vector<fs::path> files;
  for (int i = 0; i < 400; ++i) {
    files.push_back(dir.path() / (std::to_string(i) + ".png"));
    const Image image = test::gradient(33 + i * 7 % 60, 33 + i * 11 % 67);
    ASSERT_TRUE(write_file_atomic(files.back(), test::encode_png(image), WriteMode::replace));
  }
  // 148 MiB where everything is kept.
  EXPECT_LT(growth_kib("openvino-f32", resnet, "as-is", 400, files), 100 * 1024);
}

}  // namespace
}  // namespace imgrec::hostile_test
