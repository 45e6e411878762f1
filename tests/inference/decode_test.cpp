#include "inference/decode/decode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "inference/preprocess/preprocess.hpp"
#include "tests/inference/encode.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::decode_test {
namespace {

using test::gradient;

Result<Image> decode(const std::string& bytes, const ImageConfig& limits = {}) {
  ImageDecoder decoder(limits);
  const auto image = decoder.decode(bytes);
  if (!image) return fail(image.error());
  return **image;
}

std::string code_of(const std::string& bytes, const ImageConfig& limits = {}) {
  const auto image = decode(bytes, limits);
  if (image) return "decoded";
  EXPECT_EQ(image.error().kind, ErrorKind::invalid) << describe(image.error());
  EXPECT_FALSE(image.error().message.empty());
  return image.error().code;
}

void expect_same(const Result<Image>& image, const Image& wanted) {
  ASSERT_TRUE(image) << describe(image.error());
  ASSERT_EQ(image->width, wanted.width);
  ASSERT_EQ(image->height, wanted.height);
  EXPECT_TRUE(image->rgb == wanted.rgb) << "other pixels";
}

Image grey_of(Image image) {
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i + 1] = image.rgb[i + 2] = image.rgb[i];
  return image;
}

Image by_pixel(int width, int height, const std::function<std::array<int, 3>(int, int)>& colour) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto rgb = colour(x, y);
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = static_cast<std::uint8_t>(rgb[static_cast<std::size_t>(c)]);
    }
  }
  return image;
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

TEST(Decode, LosslessFormatsGiveTheVeryPixels) {
  const Image image = gradient(53, 37);
  for (const bool interlaced : {false, true}) {
    for (const bool alpha : {false, true}) {
      for (const int bits : {8, 16}) {
        expect_same(
            decode(test::encode_png(image, {.bit_depth = bits, .alpha = alpha, .interlaced = interlaced, .exif = {}})),
            image);
        expect_same(
            decode(test::encode_png(
                image, {.bit_depth = bits, .grey = true, .alpha = alpha, .interlaced = interlaced, .exif = {}})),
            grey_of(image));
      }
    }
  }
  expect_same(decode(test::encode_webp(image)), image);
  expect_same(decode(test::encode_webp(image, true)), image);
  for (const bool tiled : {false, true}) {
    for (const bool lzw : {false, true}) {
      for (const bool alpha : {false, true}) {
        expect_same(decode(test::encode_tiff(image, {.tiled = tiled, .lzw = lzw, .alpha = alpha})), image);
      }
      expect_same(decode(test::encode_tiff(image, {.bits = 16, .tiled = tiled, .lzw = lzw})), image);
      expect_same(decode(test::encode_tiff(image, {.grey = true, .tiled = tiled, .lzw = lzw})), grey_of(image));
    }
  }
  expect_same(decode(test::encode_bmp(image)), image);
  expect_same(decode(test::encode_bmp(image, 32)), image);
  expect_same(decode(test::encode_bmp(image, 24, -1)), image);
}

TEST(Decode, PalettesAndSmallSamples) {
  for (const int bits : {1, 2, 4, 8}) {
    for (const bool interlaced : {false, true}) {
      const int colours = std::min(1 << bits, 200);
      const auto png = test::encode_png(gradient(41, 19),
                                        {.bit_depth = bits, .interlaced = interlaced, .palette = colours, .exif = {}});
      expect_same(decode(png), by_pixel(41, 19, [&](int x, int y) {
                    const int index = (x + y) % colours;
                    return std::array{index, 255 - index, 7};
                  }));
    }
  }
  for (const bool interlaced : {false, true}) {
    expect_same(decode(test::encode_gif(41, 19, interlaced)), by_pixel(41, 19, [](int x, int y) {
                  const int grey = (x + y) % 200;
                  return std::array{grey, grey, grey};
                }));
  }
  const Image image = gradient(20, 10);
  expect_same(decode(test::encode_bmp(image, 16)), by_pixel(20, 10, [&](int x, int y) {
                std::array<int, 3> rgb{};
                for (std::size_t c = 0; c < 3; ++c)
                  rgb[c] = (image.row(y)[3 * x + static_cast<int>(c)] >> 3) * 255 / 31;
                return rgb;
              }));
}

TEST(Decode, RunLengthBitmaps) {
  // 4 x 2, four colours: a run of 4 x colour 1, end of line, then colours 0 1 2 3 one by one, end.
  const std::string palette =
      test::le32_text(0x000000) + test::le32_text(0xFF0000) + test::le32_text(0x00FF00) + test::le32_text(0x0000FF);
  const auto bmp = [&](int bits, int compression, const std::string& data) {
    return "BM" + test::le32_text(0) + test::le32_text(0) + test::le32_text(70) + test::le32_text(40) +
           test::le32_text(4) + test::le32_text(2) + test::le16_text(1) +
           test::le16_text(static_cast<std::uint32_t>(bits)) +
           test::le32_text(static_cast<std::uint32_t>(compression)) + std::string(12, '\0') + test::le32_text(4) +
           test::le32_text(0) + palette + data;
  };
  using namespace std::string_literals;
  const Image wanted = by_pixel(4, 2, [](int x, int y) {
    const int index = y == 1 ? 1 : x;
    return std::array{index == 1 ? 255 : 0, index == 2 ? 255 : 0, index == 3 ? 255 : 0};
  });
  expect_same(decode(bmp(8, 1, "\x04\x01\0\0\0\x04\0\x01\x02\x03\0\x01"s)), wanted);
  expect_same(decode(bmp(4, 2, "\x04\x11\0\0\0\x04\x01\x23\0\x01"s)), wanted);
  EXPECT_EQ(code_of(bmp(8, 1, "\x05\x01\0\x01"s)), "image_corrupt") << "a run beyond the row";
  EXPECT_EQ(code_of(bmp(8, 1, "\x04\x01\0\0\x03\x01"s)), "image_truncated") << "a pixel is missing";
  EXPECT_EQ(code_of(bmp(8, 1, "\x04\x01\0\0"s)), "image_truncated") << "a row is missing";
  EXPECT_EQ(code_of(bmp(8, 1, "\x04\x09\0\x01"s)), "image_corrupt") << "a colour that is not in the palette";
}

TEST(Decode, JpegsOfAllKinds) {
  const Image image = gradient(60, 44);
  const auto close_to = [](const Result<Image>& decoded, const Image& wanted) {
    ASSERT_TRUE(decoded) << describe(decoded.error());
    ASSERT_EQ(decoded->rgb.size(), wanted.rgb.size());
    EXPECT_LT(mean_difference(*decoded, wanted), 3.0);
  };
  close_to(decode(test::encode_jpeg(image)), image);
  close_to(decode(test::encode_jpeg(image, {.progressive = true, .exif = {}})), image);
  close_to(decode(test::encode_jpeg(image, {.restart_rows = 1, .exif = {}})), image);
  close_to(decode(test::encode_jpeg(image, {.grey = true, .exif = {}})), grey_of(image));
  close_to(decode(test::encode_jpeg(image, {.cmyk = true, .exif = {}})), image);
}

TEST(Decode, ExifOrientation) {
  const Image upright = gradient(31, 17);
  // Where the pixel of the upright image lies in the stored one (EXIF 2.32, tag 0x0112: what row 0 and column 0 show).
  const auto stored_as = [&](int orientation) {
    const int w = upright.width, h = upright.height;
    const bool swapped = orientation >= 5;
    return by_pixel(swapped ? h : w, swapped ? w : h, [&](int x, int y) {
      int ux = x, uy = y;
      switch (orientation) {
        case 2: ux = w - 1 - x; break;
        case 3: ux = w - 1 - x, uy = h - 1 - y; break;
        case 4: uy = h - 1 - y; break;
        case 5: ux = y, uy = x; break;
        case 6: ux = w - 1 - y, uy = x; break;
        case 7: ux = w - 1 - y, uy = h - 1 - x; break;
        case 8: ux = y, uy = h - 1 - x; break;
        default: break;
      }
      const std::uint8_t* pixel = upright.row(uy) + 3 * ux;
      return std::array<int, 3>{pixel[0], pixel[1], pixel[2]};
    });
  };
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const Image stored = stored_as(orientation);
    for (const bool little_endian : {false, true}) {
      const std::string exif = test::exif_block(orientation, little_endian);
      expect_same(decode(test::encode_png(stored, {.exif = exif})), upright);
      const auto jpeg = decode(test::encode_jpeg(stored, {.quality = 98, .exif = exif}));
      ASSERT_TRUE(jpeg);
      ASSERT_EQ(jpeg->width, upright.width);
      EXPECT_LT(mean_difference(*jpeg, upright), 4.0);
    }
    expect_same(decode(test::encode_tiff(stored, {.orientation = orientation})), upright);
  }
}

// Takes rows as they come, as the classifier does.
class InputSink final : public RowSink {
 public:
  InputSink(Preprocessor& preprocessor, std::vector<float>& input) : preprocessor_(preprocessor), input_(input) {}
  Result<Region> begin(int width, int height) override {
    input_.assign(preprocessor_.input_size_for(width, height)->floats(), NAN);
    return preprocessor_.begin(width, height, input_);
  }
  void put(const Rows& rows) override { preprocessor_.put(rows); }

 private:
  Preprocessor& preprocessor_;
  std::vector<float>& input_;
};

TEST(Decode, RowsOnTheirWayGiveTheSameInputAsTheWholeImage) {
  ImageDecoder decoder{ImageConfig{}};
  for (const auto profile : {PreprocessProfile::imagenet, PreprocessProfile::as_is}) {
    Preprocessor streaming({profile, 64}), whole({profile, 64});
    for (const auto& [width, height] : {std::pair{300, 200}, {97, 263}, {1, 1}, {31, 17}}) {
      const Image image = test::noise(width, height, 9);
      for (int orientation = 1; orientation <= 8; ++orientation) {
        const std::string exif = test::exif_block(orientation, true);
        for (const std::string& bytes :
             {test::encode_jpeg(image, {.exif = exif}), test::encode_jpeg(image, {.progressive = true, .exif = exif}),
              test::encode_png(image, {.exif = exif})}) {
          std::vector<float> got;
          InputSink sink(streaming, got);
          const auto done = decoder.decode(bytes, sink);
          ASSERT_TRUE(done) << describe(done.error());
          const Image upright = *decode(bytes);
          std::vector<float> wanted(whole.input_size_for(upright.width, upright.height)->floats());
          whole.run(upright, wanted);
          EXPECT_TRUE(got == wanted) << width << " x " << height << ", orientation " << orientation;
        }
      }
    }
  }
}

TEST(Decode, DamagedExifIsIgnored) {
  const Image image = gradient(31, 17);
  for (const std::string& exif :
       {std::string("II*"), std::string("II*\0\xFF\xFF\xFF\x7F", 8), test::exif_block(9, true),
        test::exif_block(0, false), test::exif_block(6, true).substr(0, 20)}) {
    expect_same(decode(test::encode_png(image, {.exif = exif})), image);
  }
}

struct Sample {
  const char* name;
  std::string bytes;
};

std::vector<Sample> samples() {
  const Image image = gradient(48, 36);
  return {{"jpeg", test::encode_jpeg(image)},
          {"progressive jpeg", test::encode_jpeg(image, {.progressive = true, .exif = {}})},
          {"cmyk jpeg", test::encode_jpeg(image, {.cmyk = true, .exif = {}})},
          {"jpeg with restarts", test::encode_jpeg(image, {.restart_rows = 1, .exif = {}})},
          {"png", test::encode_png(image)},
          {"interlaced palette png",
           test::encode_png(image, {.bit_depth = 4, .interlaced = true, .palette = 9, .exif = {}})},
          {"webp", test::encode_webp(image)},
          {"gif", test::encode_gif(48, 36)},
          {"tiff", test::encode_tiff(image)},
          {"lzw tiff", test::encode_tiff(image, {.tiled = true, .lzw = true})},
          {"bmp", test::encode_bmp(image)}};
}

TEST(Decode, ACutFileIsAnErrorWhereverItIsCut) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const auto whole = decode(sample.bytes);
    ASSERT_TRUE(whole) << describe(whole.error());
    for (std::size_t size = 0; size < sample.bytes.size(); size += 1 + sample.bytes.size() / 400) {
      const auto cut = decode(sample.bytes.substr(0, size));
      if (cut) {
        // Only what comes after the last pixel may be missing (a GIF's end mark, a TIFF's last tag).
        EXPECT_GT(size + 64, sample.bytes.size());
        EXPECT_TRUE(cut->rgb == whole->rgb) << "pixels made up, cut at " << size;
      } else {
        EXPECT_THAT(cut.error().code, testing::AnyOf("image_truncated", "image_corrupt", "unsupported_format")) << size;
      }
    }
  }
}

TEST(Decode, DamageNeverCrashesAndNeverShowsAnEarlierImage) {
  test::SeededRng rng(7);
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    ImageDecoder decoder{ImageConfig{.pixels_max = 1'000'000}};
    for (int round = 0; round < 400; ++round) {
      std::string bytes = sample.bytes;
      const std::uint64_t changes = 1 + rng.next() % 4;
      for (std::uint64_t i = 0; i < changes; ++i) bytes[rng.next() % bytes.size()] = static_cast<char>(rng.next());
      const auto image = decoder.decode(bytes);
      if (!image) {
        EXPECT_EQ(image.error().kind, ErrorKind::invalid) << describe(image.error());
      } else {
        EXPECT_EQ((*image)->rgb.size(),
                  3U * static_cast<unsigned>((*image)->width) * static_cast<unsigned>((*image)->height));
      }
    }
    expect_same([&]() -> Result<Image> { return **decoder.decode(samples()[4].bytes); }(), gradient(48, 36));
  }
}

TEST(Decode, LimitsAreCheckedBeforePixels) {
  const ImageConfig small{.pixels_max = 1000};
  for (const Sample& sample : samples()) EXPECT_EQ(code_of(sample.bytes, small), "image_too_large") << sample.name;
  EXPECT_EQ(code_of(samples()[0].bytes, {.bytes_max = 100}), "image_too_large");
  // Headers that promise 4 gigapixels: there is nothing behind them, and nothing is allocated for them.
  std::string png = test::encode_png(gradient(8, 8));
  png.replace(16, 8, test::be32_text(65'000) + test::be32_text(65'000));
  EXPECT_EQ(code_of(png), "image_too_large");
  std::string bmp = test::encode_bmp(gradient(8, 8));
  bmp.replace(18, 8, test::le32_text(65'000) + test::le32_text(65'000));
  EXPECT_EQ(code_of(bmp), "image_too_large");
}

TEST(Decode, AJpegWithManyScansIsRefused) {
  const std::string jpeg = test::encode_jpeg(gradient(48, 36), {.progressive = true, .exif = {}});
  const std::size_t last_scan = jpeg.rfind("\xFF\xDA");
  const std::string scan = jpeg.substr(last_scan, jpeg.size() - 2 - last_scan);
  std::string bomb = jpeg.substr(0, jpeg.size() - 2);
  for (int i = 0; i < 200; ++i) bomb += scan;
  bomb += "\xFF\xD9";
  EXPECT_EQ(code_of(bomb), "image_too_large");
  EXPECT_EQ(code_of(jpeg, {.jpeg_scans_max = 3}), "image_too_large");
}

TEST(Decode, AJpegWithoutDataForAColourIsCorrupt) {
  const std::string jpeg = test::encode_jpeg(gradient(48, 36), {.progressive = true, .exif = {}});
  const std::size_t first = jpeg.find("\xFF\xDA"), second = jpeg.find("\xFF\xC4", first);
  ASSERT_NE(second, std::string::npos);
  // The first scan carries all colours' averages; without it and the others only one colour is left.
  const std::size_t last = jpeg.rfind("\xFF\xDA");
  EXPECT_EQ(code_of(jpeg.substr(0, first) + jpeg.substr(last)), "image_corrupt");
}

TEST(Decode, ATiffThatPromisesTooMuchIsRefused) {
  std::string tiff = test::encode_tiff(gradient(48, 36), {.tiled = true});
  // The tile's width (tag 322, SHORT or LONG): 16 becomes 60,000, and with it the buffer for one tile.
  const auto set_tag = [&](std::uint32_t tag, std::uint32_t value) {
    const std::size_t directory =
        static_cast<unsigned char>(tiff[4]) | static_cast<std::size_t>(static_cast<unsigned char>(tiff[5])) << 8;
    for (std::size_t at = directory + 2; at + 12 <= tiff.size(); at += 12) {
      if (tiff.substr(at, 2) == test::le16_text(tag)) {
        tiff.replace(at + 2, 2, test::le16_text(4));
        tiff.replace(at + 8, 4, test::le32_text(value));
        return;
      }
    }
    FAIL() << "no tag " << tag;
  };
  set_tag(322, 60'000);
  set_tag(323, 60'000);
  EXPECT_EQ(code_of(tiff), "image_too_large");
}

TEST(Decode, OtherThingsAreNoImages) {
  EXPECT_EQ(code_of(""), "unsupported_format");
  EXPECT_EQ(code_of("hello, world"), "unsupported_format");
  EXPECT_EQ(code_of("%PDF-1.7 and so on"), "unsupported_format");
  EXPECT_THAT(decode("GIF").error().message, testing::HasSubstr("JPEG, PNG"));
}

}  // namespace
}  // namespace imgrec::decode_test
