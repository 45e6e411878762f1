// The quick way of decoding JPEGs against libjpeg alone: the same pixels, or the same refusal, whatever the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inference/decode/jpeg.hpp"
#include "lib/base/file.hpp"
#include "tests/inference/encode.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::jpeg_ways_test {
namespace {

using decode::JpegWay;
using test::encode_jpeg;
using test::JpegOptions;

// Takes a part of the image, chosen by fractions of its sides.
struct Part {
  double left = 0, top = 0, right = 1, bottom = 1;
};

class PartSink final : public decode::StoredRowSink {
 public:
  PartSink(const Part& part, int reduction) : part_(part), reduction_(reduction) {}

  int reduction_max(int, int) const override { return reduction_; }

  Result<Region> begin(int width, int height, int) override {
    const auto side = [](double from, double to, int length) {
      const int first = std::min(static_cast<int>(from * length), length - 1);
      return std::pair{first, std::max(static_cast<int>(to * length) - first, 1)};
    };
    const auto [x, columns] = side(part_.left, part_.right, width);
    const auto [y, rows] = side(part_.top, part_.bottom, height);
    image.reset(columns, rows);
    region = {x, y, columns, rows};
    row_ = 0;
    return region;
  }

  void put(const Rows& rows) override {
    for (int i = 0; i < rows.count; ++i) {
      ASSERT_LT(row_, image.height);
      std::copy_n(rows.row(i), 3 * image.width, image.row(row_++));
    }
  }

  bool full() const { return row_ == image.height; }

  Image image;
  Region region;

 private:
  Part part_;
  int reduction_, row_ = 0;
};

struct Outcome {
  std::string code;  // of the error; empty: decoded
  std::string message;
  Image image;
  Region region;
  JpegWay way = JpegWay::plain;
};

Outcome decode_part(decode::JpegDecoder& decoder, const std::string& bytes, const Part& part, JpegWay way,
                    int reduction = 1) {
  PartSink sink(part, reduction);
  const auto done = decoder.decode(bytes, {.pixels_max = 1'000'000}, sink, way);
  Outcome outcome;
  outcome.way = decoder.last_way();
  if (!done) {
    outcome.code = done.error().code;
    outcome.message = done.error().message;
    return outcome;
  }
  EXPECT_TRUE(sink.full()) << "rows are missing";
  outcome.image = std::move(sink.image);
  outcome.region = sink.region;
  return outcome;
}

Image cut_out(const Image& image, const Region& region) {
  Image out;
  out.reset(region.width, region.height);
  for (int y = 0; y < region.height; ++y) {
    std::copy_n(image.row(region.y + y) + 3 * region.x, 3 * region.width, out.row(y));
  }
  return out;
}

struct Variant {
  const char* name;
  JpegOptions options;
  bool quick = true;  // has a quick way
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"420", {}},
      {"422", {.luma_v = 1}},
      {"440", {.luma_h = 1}},
      {"444", {.luma_h = 1, .luma_v = 1}},
      {"411", {.luma_h = 4, .luma_v = 1}},
      {"410", {.luma_h = 4, .luma_v = 2}},
      {"triple", {.luma_h = 3, .luma_v = 1}},
      {"444 optimised", {.quality = 100, .luma_h = 1, .luma_v = 1, .optimised = true}},
      {"420 optimised", {.quality = 30, .optimised = true}},
      {"grey", {.grey = true}},
      {"grey with a sampling", {.grey = true, .luma_h = 1, .luma_v = 1, .optimised = true}},
      {"420 restart", {.restart_mcus = 3}},
      {"444 restart", {.luma_h = 1, .luma_v = 1, .optimised = true, .restart_mcus = 1}},
      {"422 restart rows", {.restart_rows = 1, .luma_v = 1}},
      {"grey restart", {.grey = true, .restart_mcus = 7}},
      {"cmyk", {.cmyk = true, .luma_h = 1, .luma_v = 1}},
      {"cmyk subsampled", {.cmyk = true, .optimised = true, .restart_mcus = 5}},
      {"progressive", {.progressive = true}, false},
      {"progressive 444 restart", {.progressive = true, .luma_h = 1, .luma_v = 1, .restart_mcus = 4}, false},
      {"scans", {.one_scan = false}, false},
  };
  return all;
}

const std::vector<Part> kParts = {{},
                                  {.left = 0.25, .top = 0.25, .right = 0.75, .bottom = 0.75},
                                  {.left = 0.4, .right = 0.6},
                                  {.top = 0.45, .bottom = 0.5},
                                  {.left = 0.99, .top = 0.99},
                                  {.right = 0.01, .bottom = 0.01},
                                  {.left = 0.13, .top = 0.07, .right = 0.93, .bottom = 0.99}};

TEST(JpegWays, TheSamePixelsInAllKindsSizesAndParts) {
  decode::JpegDecoder decoder;
  for (const Variant& variant : variants()) {
    for (const auto& [width, height] : {std::pair{1, 1},
                                        {8, 8},
                                        {17, 33},
                                        {48, 36},
                                        {1, 5000},
                                        {5000, 1},
                                        {2, 3},
                                        {333, 222},
                                        {130, 67},
                                        {64, 512}}) {
      SCOPED_TRACE(testing::Message() << variant.name << " " << width << " x " << height);
      const std::string jpeg = encode_jpeg(test::noise(width, height, 3), variant.options);
      const Outcome whole = decode_part(decoder, jpeg, {}, JpegWay::plain);
      ASSERT_EQ(whole.code, "") << whole.message;
      EXPECT_EQ(whole.image.width, width);
      EXPECT_EQ(whole.image.height, height);
      for (const Part& part : kParts) {
        const Outcome quick = decode_part(decoder, jpeg, part, JpegWay::quickest);
        ASSERT_EQ(quick.code, "") << quick.message;
#ifdef IMGREC_JPEG_INTERNALS
        EXPECT_EQ(quick.way == JpegWay::quickest, variant.quick);
#endif
        EXPECT_TRUE(quick.image.rgb == cut_out(whole.image, quick.region).rgb) << "other pixels";
        for (const JpegWay way : {JpegWay::portable, JpegWay::plain}) {
          const Outcome other = decode_part(decoder, jpeg, part, way);
          EXPECT_TRUE(other.image.rgb == quick.image.rgb) << "other pixels";
        }
      }
    }
  }
}

TEST(JpegWays, TheQuickOneCanBeTurnedOff) {
  decode::JpegDecoder decoder;
  const std::string jpeg = encode_jpeg(test::noise(64, 48, 3));
  PartSink on({}, 1), off({}, 1);
  ASSERT_TRUE(decoder.decode(jpeg, {}, on));
#ifdef IMGREC_JPEG_INTERNALS
  EXPECT_EQ(decoder.last_way(), JpegWay::quickest);
#endif
  ASSERT_TRUE(decoder.decode(jpeg, {.jpeg_fast_decoder = false}, off));
  EXPECT_EQ(decoder.last_way(), JpegWay::plain);
  EXPECT_TRUE(on.image.rgb == off.image.rgb) << "other pixels";
}

TEST(JpegWays, TheSamePixelsOfReducedImages) {
  decode::JpegDecoder decoder;
  for (const Variant& variant : variants()) {
    for (const auto& [width, height] :
         {std::pair{8, 8}, {160, 96}, {64, 512}, {48, 36}, {1000, 8}, {66, 130}, {7, 16}}) {
      const std::string jpeg = encode_jpeg(test::noise(width, height, 3), variant.options);
      for (const int reduction : {2, 4, 8}) {
        SCOPED_TRACE(testing::Message() << variant.name << " " << width << " x " << height << " by " << reduction);
        int possible = reduction;
        while (width % possible != 0 || height % possible != 0) possible /= 2;
        const Outcome whole = decode_part(decoder, jpeg, {}, JpegWay::plain, reduction);
        ASSERT_EQ(whole.code, "") << whole.message;
        EXPECT_EQ(whole.image.width, width / possible);
        EXPECT_EQ(whole.image.height, height / possible);
        for (const Part& part : kParts) {
          for (const JpegWay way : {JpegWay::quickest, JpegWay::plain}) {
            const Outcome cut = decode_part(decoder, jpeg, part, way, reduction);
            ASSERT_EQ(cut.code, "") << cut.message;
#ifdef IMGREC_JPEG_INTERNALS
            EXPECT_EQ(cut.way == JpegWay::quickest, variant.quick && way == JpegWay::quickest);
#endif
            EXPECT_TRUE(cut.image.rgb == cut_out(whole.image, cut.region).rgb) << "other pixels";
          }
        }
      }
    }
  }
}

// A reduced image is one of means: what is smooth looks as if it had been decoded whole and then reduced.
TEST(JpegWays, ReducedImagesLookLikeTheWhole) {
  decode::JpegDecoder decoder;
  const int width = 320, height = 240;
  Image smooth;
  smooth.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int colours[] = {x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)};
      for (int c = 0; c < 3; ++c) smooth.row(y)[3 * x + c] = static_cast<std::uint8_t>(colours[c]);
    }
  }
  for (const Variant& variant : variants()) {
    const std::string jpeg = encode_jpeg(smooth, variant.options);
    const Outcome whole = decode_part(decoder, jpeg, {}, JpegWay::plain);
    ASSERT_EQ(whole.code, "") << whole.message;
    for (const int by : {2, 4, 8}) {
      const Outcome reduced = decode_part(decoder, jpeg, {}, JpegWay::quickest, by);
      ASSERT_EQ(reduced.code, "") << reduced.message;
      double difference = 0;
      for (int i = 0; i < 3 * (width / by) * (height / by); ++i) {
        const int x = i / 3 % (width / by), y = i / 3 / (width / by), colour = i % 3;
        int sum = 0;
        for (int j = 0; j < by * by; ++j) sum += whole.image.row(by * y + j / by)[3 * (by * x + j % by) + colour];
        difference += std::abs(reduced.image.rgb[static_cast<std::size_t>(i)] - static_cast<double>(sum) / (by * by));
      }
      // Half of what two neighbours differ by in an image reduced by 8.
      EXPECT_LT(difference / static_cast<double>(reduced.image.rgb.size()), 3) << variant.name << " by " << by;
    }
  }
}

// One or a few changes, mostly in the entropy-coded data, of the kinds that disks and networks make, or an attacker.
std::string damaged(std::string bytes, Rng& rng) {
  const std::size_t data = bytes.rfind("\xFF\xDA");
  const std::uint64_t changes = 1 + rng.next() % 3;
  for (std::uint64_t i = 0; i < changes && bytes.size() > 4; ++i) {
    const bool in_data = data < bytes.size() && rng.next() % 8 != 0;
    const std::size_t from = in_data ? data : 0;
    const std::size_t at = from + rng.next() % (bytes.size() - from);
    switch (rng.next() % 8) {
      case 0: bytes[at] = static_cast<char>(rng.next()); break;
      case 1:
      case 2: bytes[at] = static_cast<char>(bytes[at] ^ 1 << rng.next() % 8); break;
      case 3: bytes.erase(at, 1 + rng.next() % 4); break;
      case 4: bytes.insert(at, 1 + rng.next() % 4, static_cast<char>(rng.next())); break;
      case 5: bytes.replace(at, 1, "\xFF"); break;
      case 6: bytes.insert(at, std::string("\xFF") + static_cast<char>(0xD0 + rng.next() % 10)); break;
      default: bytes = bytes.substr(0, at) + "\xFF\xD9"; break;  // cut, and an end mark put there
    }
  }
  return bytes;
}

TEST(JpegWays, TheSameVerdictOnDamage) {
  test::SeededRng rng(11);
  decode::JpegDecoder decoder;
  int refused = 0, quick = 0, total = 0;
  for (const Variant& variant : variants()) {
    for (const auto& [width, height] : {std::pair{48, 36}, {130, 67}, {17, 9}}) {
      const std::string jpeg = encode_jpeg(test::noise(width, height, 5), variant.options);
      for (int round = 0; round < 250; ++round) {
        const std::string bytes = damaged(jpeg, rng);
        const Part& part = kParts[rng.next() % kParts.size()];
        const int reduction = round % 4 == 0 ? 2 << round / 4 % 3 : 1;
        const JpegWay way = round % 2 == 0 ? JpegWay::quickest : JpegWay::portable;
        const Outcome by_quick = decode_part(decoder, bytes, part, way, reduction);
        const Outcome by_plain = decode_part(decoder, bytes, part, JpegWay::plain, reduction);
        const auto name = testing::Message() << variant.name << " " << width << " x " << height << ", round " << round;
        ASSERT_EQ(by_quick.code, by_plain.code) << name;
        ASSERT_EQ(by_quick.message, by_plain.message) << name;
        ASSERT_TRUE(by_quick.image.rgb == by_plain.image.rgb) << name << ": other pixels";
        ++total;
        refused += by_plain.code.empty() ? 0 : 1;
        quick += by_quick.way != JpegWay::plain ? 1 : 0;
      }
    }
  }
  // The damage is neither always found nor never, and the quick way really took part.
  EXPECT_GT(refused, total / 10);
  EXPECT_LT(refused, total * 9 / 10);
#ifdef IMGREC_JPEG_INTERNALS
  EXPECT_GT(quick, total / 10);
#endif
}

// A photo's parts below the crop are looked at as well: there are no half images.
TEST(JpegWays, DamageOutsideThePartWantedIsFound) {
  decode::JpegDecoder decoder;
  const std::string jpeg = encode_jpeg(test::noise(200, 200, 6), {.luma_h = 1, .luma_v = 1});
  const Part top{.right = 0.3, .bottom = 0.2};
  ASSERT_EQ(decode_part(decoder, jpeg, top, JpegWay::quickest).code, "");
  const std::size_t tail = jpeg.size() - 2;
  for (const std::size_t missing : {3U, 50U, 1000U}) {
    const std::string cut = jpeg.substr(0, tail - missing) + jpeg.substr(tail);
    EXPECT_EQ(decode_part(decoder, cut, top, JpegWay::quickest).code, "image_corrupt") << missing;
  }
  std::string marker = jpeg;
  marker.replace(tail - 500, 2, "\xFF\xD3");
  EXPECT_EQ(decode_part(decoder, marker, top, JpegWay::quickest).code, "image_corrupt");
}

TEST(JpegWays, TheSameOnFilesOfOtherEncoders) {
  int files = 0;
  decode::JpegDecoder decoder;
  for (const char* name : {"badimg-image-rs", "badimg-pillow", "badimg-sharp", "exif-orientation", "wrong-type-mini"}) {
    IMGREC_NEED_SHARED(folder, test::unpacked_testdata(name));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const auto bytes = read_file(entry.path(), 64 * kMiB);
      ASSERT_TRUE(bytes);
      if (!bytes->starts_with("\xFF\xD8")) continue;
      ++files;
      for (const Part& part : kParts) {
        const Outcome quick = decode_part(decoder, *bytes, part, JpegWay::quickest);
        const Outcome plain = decode_part(decoder, *bytes, part, JpegWay::plain);
        EXPECT_EQ(quick.code, plain.code) << entry.path();
        EXPECT_TRUE(quick.image.rgb == plain.image.rgb) << entry.path() << ": other pixels";
      }
    }
  }
  EXPECT_GT(files, 30);
}

}  // namespace
}  // namespace imgrec::jpeg_ways_test
