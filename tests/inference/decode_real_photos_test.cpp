// Files as cameras, phones, scanners and editors really write them, and as transfers leave them: small ones of each
// kind, made here. inference/decode/README.md has the table of what other decoders make of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tiffio.h>
#include <zlib.h>

#include <cmath>

#include "inference/decode/decode.hpp"
#include "tests/inference/encode.hpp"

namespace imgrec::decode_real_photos_test {
namespace {

using namespace std::string_literals;
using test::be32_text;
using test::gradient;
using test::le16_text;
using test::le32_text;

Result<Image> decode(const std::string& bytes, const ImageConfig& limits = {}) {
  ImageDecoder decoder(limits);
  const auto image = decoder.decode(bytes);
  if (!image) return fail(image.error());
  return **image;
}

const ImageConfig kAccepting{.truncated = "accept"};

void expect_same(const Result<Image>& image, const Image& wanted) {
  ASSERT_TRUE(image) << describe(image.error());
  ASSERT_EQ(image->width, wanted.width);
  ASSERT_EQ(image->height, wanted.height);
  EXPECT_TRUE(image->rgb == wanted.rgb) << "other pixels";
}

void expect_same_as(const std::string& bytes, const std::string& sound) {
  const auto wanted = decode(sound);
  ASSERT_TRUE(wanted) << describe(wanted.error());
  expect_same(decode(bytes), *wanted);
}

std::string code_of(const std::string& bytes, const ImageConfig& limits = {}) {
  const auto image = decode(bytes, limits);
  return image ? "decoded" : image.error().code;
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

// The first rows are the image's; behind them come no other colours than grey or black, but for the blocks at the seam.
void expect_beginning(const Result<Image>& image, const Image& wanted, int rows) {
  ASSERT_TRUE(image) << describe(image.error());
  ASSERT_EQ(image->rgb.size(), wanted.rgb.size());
  const auto end = image->rgb.begin() + static_cast<std::ptrdiff_t>(3 * rows * wanted.width);
  EXPECT_TRUE(std::equal(image->rgb.begin(), end, wanted.rgb.begin()));
  EXPECT_FALSE(image->rgb == wanted.rgb) << "nothing is missing";
}

// ---- JPEG ----

std::string without_end_mark(const std::string& jpeg) {
  return jpeg.substr(0, jpeg.size() - 2);
}

TEST(RealJpegs, AScanHeaderWithoutSpectralSelection) {
  for (const bool restarts : {false, true}) {
    for (const bool one_scan : {true, false}) {
      const std::string jpeg =
          test::encode_jpeg(gradient(60, 44), {.restart_rows = restarts ? 1 : 0, .one_scan = one_scan});
      std::string changed = jpeg;
      for (std::size_t at = changed.find("\xFF\xDA"); at != changed.npos; at = changed.find("\xFF\xDA", at + 2)) {
        const std::size_t length = static_cast<unsigned char>(changed[at + 3]);
        changed.replace(at + 2 + length - 3, 3, "\0\0\0"s);
      }
      ASSERT_NE(changed, jpeg);
      expect_same_as(changed, jpeg);
    }
  }
}

TEST(RealJpegs, WithoutTheEndMark) {
  const Image image = gradient(60, 44);
  for (const test::JpegOptions& options :
       {test::JpegOptions{}, {.progressive = true}, {.one_scan = false}, {.restart_rows = 1}}) {
    const std::string jpeg = test::encode_jpeg(image, options);
    expect_same_as(without_end_mark(jpeg), jpeg);
    expect_same_as(without_end_mark(jpeg) + "\xFF", jpeg);
    expect_same_as(without_end_mark(jpeg) + std::string(1000, '\0'), jpeg);
    // The last byte of data may be nothing but filling bits, but not the last four.
    EXPECT_EQ(code_of(jpeg.substr(0, jpeg.size() - 6)), "image_truncated");
  }
  // Of these nobody can say whether something is missing: zeros at the end are left out when they are written.
  const std::string arithmetic = test::encode_jpeg(image, {.arithmetic = true});
  EXPECT_EQ(code_of(without_end_mark(arithmetic)), "image_truncated");
  EXPECT_EQ(code_of(without_end_mark(arithmetic), kAccepting), "decoded");
}

TEST(RealJpegs, WithoutALaterScanAreCutOff) {
  const std::string progressive = test::encode_jpeg(gradient(60, 44), {.progressive = true});
  const std::string separate = test::encode_jpeg(gradient(60, 44), {.one_scan = false});
  for (const std::string& jpeg : {progressive, separate}) {
    const std::string cut = jpeg.substr(0, jpeg.rfind("\xFF\xDA"));
    EXPECT_EQ(code_of(cut), "image_truncated");
    EXPECT_EQ(code_of(cut, kAccepting), "decoded");
  }
}

TEST(RealJpegs, CutOffAreRefusedOrAccepted) {
  const Image image = gradient(160, 120);
  const std::string jpeg = test::encode_jpeg(image, {.restart_mcus = 3});
  const std::string cut = jpeg.substr(0, jpeg.size() * 2 / 3);
  EXPECT_EQ(code_of(cut), "image_truncated");
  const auto whole = decode(jpeg);
  ASSERT_TRUE(whole);
  expect_beginning(decode(cut, kAccepting), *whole, 32);
  expect_beginning(decode(cut + "\xFF\xD9", kAccepting), *whole, 32);
  // Before the first row of blocks there is nothing to show.
  const std::size_t scan = jpeg.find("\xFF\xDA");
  for (const std::size_t size : {scan, scan + 5, scan + 20, std::size_t{100}}) {
    EXPECT_EQ(code_of(jpeg.substr(0, size), kAccepting), "image_truncated") << size;
  }
  // Damage in the middle is not a missing end.
  std::string damaged = jpeg;
  damaged.replace(jpeg.size() / 2, 40, std::string(40, '\0'));
  EXPECT_EQ(code_of(damaged, kAccepting), code_of(damaged));
}

TEST(RealJpegs, ArithmeticCoding) {
  const Image image = gradient(60, 44);
  for (const bool progressive : {false, true}) {
    const auto decoded = decode(test::encode_jpeg(image, {.progressive = progressive, .arithmetic = true}));
    ASSERT_TRUE(decoded) << describe(decoded.error());
    EXPECT_LT(mean_difference(*decoded, image), 3.0);
  }
}

TEST(RealJpegs, Of12BitsAreNamed) {
  std::string jpeg = test::encode_jpeg(gradient(60, 44));
  jpeg[jpeg.find("\xFF\xC0") + 4] = 12;
  const auto image = decode(jpeg);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, "unsupported_format");
  EXPECT_THAT(image.error().message, testing::HasSubstr("precision 12"));
}

// As the classifier takes them: at an eighth where there is enough.
class Sized final : public RowSink {
 public:
  explicit Sized(int reduction_max) : reduction_max_(reduction_max) {}
  int reduction_max(int, int) const override { return reduction_max_; }
  Result<Region> begin(int width, int height) override {
    width_ = width, height_ = height, rows_ = 0;
    return Region{0, 0, width, height};
  }
  void put(const Rows& rows) override { rows_ += rows.count; }
  int width_ = 0, height_ = 0, rows_ = 0;

 private:
  int reduction_max_;
};

TEST(RealJpegs, LimitsFollowTheCostOfDecoding) {
  // 60,000 pixels are allowed: these have 480,000 and are decoded at 1/4 or 1/8.
  const ImageConfig limits{.pixels_max = 60'000};
  const auto sides_of = [&](const std::string& jpeg, int reduction_max) {
    Sized sink(reduction_max);
    const auto done = ImageDecoder(limits).decode(jpeg, sink);
    if (!done) return done.error().code;
    EXPECT_EQ(sink.rows_, sink.height_);
    return std::to_string(sink.width_) + "x" + std::to_string(sink.height_);
  };
  const std::string large = test::encode_jpeg(gradient(800, 600));
  EXPECT_EQ(sides_of(large, 8), "100x75");
  EXPECT_EQ(sides_of(large, 4), "200x150");
  EXPECT_EQ(sides_of(large, 2), "image_too_large") << "120,000 pixels come out";
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(800, 608)), 8), "image_too_large") << "more than eight times goes in";
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(797, 601)), 8), "200x151") << "sides that are no multiples";
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(240, 248)), 8), "30x31");
  // Progressive ones hold two bytes for each sample: with 4:2:0 there are 1.5 to a pixel, with 4:4:4 there are 3.
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(400, 400), {.progressive = true}), 8), "50x50");
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(400, 408), {.progressive = true}), 8), "image_too_large");
  EXPECT_EQ(sides_of(test::encode_jpeg(gradient(400, 400), {.progressive = true, .luma_h = 1, .luma_v = 1}), 8),
            "image_too_large");
}

TEST(RealJpegs, APhotoOf48MegapixelsIsDecodedAtAnEighth) {
  Image image;
  image.reset(8064, 6048);
  Sized sink(8);
  ImageDecoder decoder{ImageConfig{}};
  const auto done = decoder.decode(test::encode_jpeg(image, {.quality = 50}), sink);
  ASSERT_TRUE(done) << describe(done.error());
  EXPECT_EQ(sink.width_, 1008);
  EXPECT_EQ(sink.rows_, 756);
}

TEST(RealImages, TooManyPixelsSayWhatToDo) {
  const auto image = decode(test::encode_png(gradient(48, 36)), {.pixels_max = 1000});
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message,
              testing::AllOf(testing::HasSubstr("48 x 36"), testing::HasSubstr("1000"),
                             testing::HasSubstr("Make it smaller"), testing::HasSubstr("image.pixels_max")));
}

TEST(RealImages, ExifOrientationOfEachIntegerType) {
  const Image upright = gradient(31, 17);
  Image stored;  // orientation 3: turned by 180 degrees
  stored.reset(31, 17);
  for (int y = 0; y < 17; ++y) {
    for (int x = 0; x < 31; ++x) std::copy_n(upright.row(16 - y) + 3 * (30 - x), 3, stored.row(y) + 3 * x);
  }
  const auto exif = [](bool little, std::uint32_t type) {
    const std::string value = type == 1 ? "\3\0\0\0"s : little ? le32_text(3) : type == 3 ? "\0\3\0\0"s : be32_text(3);
    const std::string head = little ? "II*\0\x08\0\0\0\1\0\x12\1"s + le16_text(type) + le32_text(1)
                                    : "MM\0*\0\0\0\x08\0\1\1\x12\0"s + static_cast<char>(type) + be32_text(1);
    return head + value + "\0\0\0\0"s;
  };
  for (const bool little : {false, true}) {
    for (const std::uint32_t type : {1U, 3U, 4U}) {
      SCOPED_TRACE(std::to_string(type) + (little ? " little" : " big"));
      expect_same(decode(test::encode_png(stored, {.exif = exif(little, type)})), upright);
    }
    expect_same(decode(test::encode_png(stored, {.exif = exif(little, 5)})), stored);
  }
}

// ---- PNG ----

std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return be32_text(static_cast<std::uint32_t>(data.size())) + body + be32_text(static_cast<std::uint32_t>(crc));
}

constexpr std::size_t kPngHeaderEnd = 8 + 25;

// The compressed data of one of ours, which has one chunk of it.
std::string png_data(const std::string& png) {
  const std::size_t at = png.find("IDAT");
  std::size_t length = 0;
  for (std::size_t i = at - 4; i < at; ++i) length = length << 8 | static_cast<unsigned char>(png[i]);
  return png.substr(at + 4, length);
}

std::string png_with_data(const std::string& png, const std::string& data, const std::string& end) {
  return png.substr(0, kPngHeaderEnd) + png_chunk("IDAT", data) + end;
}

std::string png_end() {
  return png_chunk("IEND", "");
}

TEST(RealPngs, AWindowThatIsTooSmall) {
  // Rows repeat after 4,000 bytes, and the header claims a window of 256.
  const Image tall = [] {
    Image image = test::noise(400, 4, 3);
    Image repeated;
    repeated.reset(400, 40);
    for (int y = 0; y < 40; ++y) std::copy_n(image.row(y % 4), 1200, repeated.row(y));
    return repeated;
  }();
  const std::string png = test::encode_png(tall);
  std::string data = png_data(png);
  data[0] = '\x08';
  data[1] = static_cast<char>(31 - 0x0800 % 31);
  expect_same(decode(png_with_data(png, data, png_end())), tall);
}

TEST(RealPngs, WithoutTheirEnding) {
  const Image image = gradient(53, 37);
  for (const bool interlaced : {false, true}) {
    for (const int palette : {0, 200}) {
      const std::string png = test::encode_png(image, {.interlaced = interlaced, .palette = palette});
      SCOPED_TRACE((interlaced ? "interlaced " : "") + std::to_string(palette));
      const std::string data = png_data(png);
      const std::size_t end = png.find("IEND") - 4;
      for (const std::size_t cut : {1, 4, 8, 12}) expect_same_as(png.substr(0, png.size() - cut), png);
      for (const std::size_t cut : {1, 4, 5, 7}) {
        SCOPED_TRACE(cut);
        expect_same_as(png.substr(0, end - cut), png);  // checksums
      }
      if (palette == 0) expect_same_as(png_with_data(png, data, ""), png);
      expect_same_as(png.substr(0, png.size() - 1) + "?", png);
      EXPECT_EQ(code_of(png.substr(0, end - 20)), "image_truncated");
    }
  }
}

// A row that zlib still has to give when the data is at its end would be lost: libpng asks for more data first.
TEST(RealPngs, WithoutTheChecksumOfTheData) {
  const Image image = test::noise(53, 37, 4);
  const std::string png = test::encode_png(image), data = png_data(png);
  expect_same(decode(png_with_data(png, data.substr(0, data.size() - 4), png_end())), image);
  EXPECT_EQ(code_of(png_with_data(png, data.substr(0, data.size() - 100), png_end())), "image_truncated");
}

TEST(RealPngs, WithAWrongChecksumOfThePixelsAreDamaged) {
  const std::string png = test::encode_png(gradient(53, 37));
  std::string data = png_data(png);
  data.back() = static_cast<char>(data.back() ^ 1);
  EXPECT_EQ(code_of(png_with_data(png, data, png_end())), "image_corrupt");
  std::string crc = png;
  crc[png.find("IEND") - 5] = static_cast<char>(crc[png.find("IEND") - 5] ^ 1);
  EXPECT_EQ(code_of(crc), "image_corrupt");
}

TEST(RealPngs, CutOffAreRefusedOrAccepted) {
  const Image image = gradient(160, 120);
  const std::string png = test::encode_png(image);
  const std::string cut = png.substr(0, png.size() / 2);
  EXPECT_EQ(code_of(cut), "image_truncated");
  expect_beginning(decode(cut, kAccepting), image, 20);
  EXPECT_EQ(code_of(png.substr(0, 60), kAccepting), "image_truncated") << "not one row";
  const auto interlaced = decode(test::encode_png(image, {.interlaced = true}).substr(0, png.size() / 2), kAccepting);
  ASSERT_TRUE(interlaced) << describe(interlaced.error());
  EXPECT_LT(mean_difference(*interlaced, image), 40) << "its first passes show the whole";
}

TEST(RealPngs, OfAppleAreNamed) {
  const std::string png = test::encode_png(gradient(53, 37));
  const auto image = decode(png.substr(0, 8) + png_chunk("CgBI", "\x50\0\x20\2"s) + png.substr(8));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, "unsupported_format");
  EXPECT_THAT(image.error().message, testing::HasSubstr("iOS"));
}

// ---- BMP ----

std::string rle_bmp(int bits, const std::string& data, std::uint32_t colours = 4) {
  std::string palette;
  for (const std::uint32_t colour : {0x000000U, 0xFF0000U, 0x00FF00U, 0x0000FFU}) palette += le32_text(colour);
  palette.resize(4 * std::size_t{colours});
  return "BM" + le32_text(0) + le32_text(0) + le32_text(54 + 4 * colours) + le32_text(40) + le32_text(4) +
         le32_text(2) + le16_text(1) + le16_text(static_cast<std::uint32_t>(bits)) + le32_text(bits == 8 ? 1 : 2) +
         std::string(12, '\0') + le32_text(colours) + le32_text(0) + palette + data;
}

TEST(RealBmps, RunsWithoutTheEndMark) {
  const std::string whole = rle_bmp(8, "\4\1\0\0\4\2\0\1"s);
  for (const std::string& data : {"\4\1\0\0\4\2"s, "\4\1\0\0\4\2\0\0"s, "\4\1\0\0\4\2\0"s, "\4\1\0\0\4\2\0\0\0\0\0\0"s,
                                  "\4\1\0\0\0\4\2\2\2\2"s}) {
    expect_same_as(rle_bmp(8, data), whole);
  }
  expect_same_as(rle_bmp(4, "\4\x11\0\0\4\x22"s), rle_bmp(4, "\4\x11\0\0\4\x22\0\1"s));
  EXPECT_EQ(code_of(rle_bmp(8, "\4\1\0\0\3\2"s)), "image_truncated");
  EXPECT_EQ(code_of(rle_bmp(8, "\4\1\0\0\3\2"s), kAccepting), "decoded");
  EXPECT_EQ(code_of(rle_bmp(8, "\4\1"s), kAccepting), "image_truncated") << "not one whole row";
}

TEST(RealBmps, APaletteWithMoreColoursThanPixelsCanName) {
  expect_same_as(rle_bmp(8, "\4\1\0\0\4\2\0\1"s, 300), rle_bmp(8, "\4\1\0\0\4\2\0\1"s));
}

TEST(RealBmps, CutOffAreRefusedOrAccepted) {
  const Image image = gradient(40, 30);
  for (const int sign : {1, -1}) {
    const std::string bmp = test::encode_bmp(image, 24, sign);
    const std::string cut = bmp.substr(0, 54 + 120 * 20 + 7);
    EXPECT_EQ(code_of(cut), "image_truncated");
    const auto shown = decode(cut, kAccepting);
    ASSERT_TRUE(shown);
    const int first = sign > 0 ? 10 : 0;
    for (int y = first; y < first + 20; ++y)
      EXPECT_TRUE(std::equal(shown->row(y), shown->row(y) + 120, image.row(y))) << y;
    EXPECT_EQ(code_of(bmp.substr(0, 60), kAccepting), "image_truncated");
  }
}

// ---- GIF ----

TEST(RealGifs, StrayZerosAndMissingEndings) {
  const std::string gif = test::encode_gif(41, 19);
  const std::size_t frame = 13 + 768;
  ASSERT_EQ(gif[frame], ',');
  expect_same_as(gif.substr(0, frame) + std::string(5, '\0') + gif.substr(frame), gif);
  const std::string comment = "!\xFE\2hi\0"s;
  expect_same_as(gif.substr(0, frame) + comment + "\0\0"s + comment + "\0"s + gif.substr(frame), gif);
  expect_same_as(gif.substr(0, gif.size() - 1), gif);
  expect_same_as(gif.substr(0, gif.size() - 2), gif);
  EXPECT_EQ(code_of(gif.substr(0, gif.size() - 20)), "image_truncated");
  EXPECT_EQ(code_of(gif.substr(0, frame)), "image_truncated");
  EXPECT_EQ(code_of(gif.substr(0, frame) + "???"), "image_corrupt");
}

TEST(RealGifs, CutOffAreRefusedOrAccepted) {
  const std::string gif = test::encode_gif(150, 90);
  const auto whole = decode(gif);
  ASSERT_TRUE(whole);
  const std::string cut = gif.substr(0, gif.size() / 2);
  EXPECT_EQ(code_of(cut), "image_truncated");
  expect_beginning(decode(cut, kAccepting), *whole, 10);
  EXPECT_EQ(code_of(gif.substr(0, 13 + 768 + 12), kAccepting), "image_truncated");
}

// ---- WebP ----

TEST(RealWebps, WithoutWhatFollowsTheFirstFrame) {
  const Image image = gradient(53, 37);
  const std::string webp = test::encode_webp(image);
  const auto chunk = [](const std::string& type, const std::string& data) {
    return type + le32_text(static_cast<std::uint32_t>(data.size())) + data + std::string(data.size() % 2, '\0');
  };
  const std::string exif = chunk("EXIF", test::exif_block(1, true));
  const std::string body = "WEBP" + chunk("VP8X", "\x08\0\0\0"s + "\x34\0\0"s + "\x24\0\0"s) + webp.substr(12) + exif;
  const std::string whole = "RIFF" + le32_text(static_cast<std::uint32_t>(body.size())) + body;
  expect_same(decode(whole), image);
  for (const std::size_t cut : {std::size_t{1}, exif.size() - 3, exif.size()}) {
    expect_same(decode(whole.substr(0, whole.size() - cut)), image);
  }
  EXPECT_EQ(code_of(whole.substr(0, whole.size() - exif.size() - 10)), "image_truncated");
}

TEST(RealWebps, CutOffAreRefusedOrAccepted) {
  const Image image = test::noise(160, 120, 5);
  const std::string webp = test::encode_webp(image);
  const std::string cut = webp.substr(0, webp.size() * 2 / 3);
  EXPECT_EQ(code_of(cut), "image_truncated");
  expect_beginning(decode(cut, kAccepting), image, 16);
  EXPECT_EQ(code_of(webp.substr(0, 40), kAccepting), "image_truncated");
}

// ---- TIFF ----

TEST(RealTiffs, EveryCompressionAndLayout) {
  const Image image = gradient(53, 37);
  for (const char* mode : {"w", "wb", "w8", "wb8"}) {
    for (const int compression :
         {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE, COMPRESSION_PACKBITS}) {
      for (const bool tiled : {false, true}) {
        for (const bool planar : {false, true}) {
          SCOPED_TRACE(std::string(mode) + " " + std::to_string(compression) + (tiled ? " tiled" : "") +
                       (planar ? " planar" : ""));
          const bool predicts = compression == COMPRESSION_LZW || compression == COMPRESSION_ADOBE_DEFLATE;
          for (const int bits : {8, 16}) {
            for (const bool predictor : {false, predicts}) {
              expect_same(decode(test::encode_tiff(image, {.bits = bits,
                                                           .tiled = tiled,
                                                           .compression = compression,
                                                           .planar = planar,
                                                           .predictor = predictor,
                                                           .mode = mode})),
                          image);
            }
          }
        }
      }
    }
  }
}

TEST(RealTiffs, BlackAndWhite) {
  const Image image = gradient(53, 37);
  Image wanted = image;
  for (std::size_t i = 0; i < wanted.rgb.size(); ++i) wanted.rgb[i] = image.rgb[i - i % 3] > 127 ? 255 : 0;
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3, COMPRESSION_CCITTFAX4,
                                COMPRESSION_LZW, COMPRESSION_PACKBITS}) {
    SCOPED_TRACE(compression);
    expect_same(decode(test::encode_tiff(image, {.bits = 1, .grey = true, .compression = compression})), wanted);
  }
}

// TIFF 6.0, section 22, as Wang's and many scanners' programs wrote it: the whole of a JPEG in the file.
TEST(RealTiffs, OldStyleJpeg) {
  const Image image = gradient(64, 48);
  const std::string jpeg = test::encode_jpeg(image);
  const auto size = static_cast<std::uint32_t>(jpeg.size());
  const std::vector<test::TiffTag> tags = {{256, 64}, {257, 48},   {259, 6}, {262, 6}, {273, 8}, {277, 3},
                                           {278, 48}, {279, size}, {284, 1}, {512, 1}, {513, 8}, {514, size}};
  const auto with_bits = [&](const std::string& data) {
    std::string tiff = test::tiff_of(tags, data);
    return tiff;
  };
  const auto decoded = decode(with_bits(jpeg));
  ASSERT_TRUE(decoded) << describe(decoded.error());
  EXPECT_LT(mean_difference(*decoded, image), 4.0);
  // Damage inside is still damage.
  std::string damaged = jpeg;
  damaged.replace(jpeg.size() * 2 / 3, 60, std::string(60, '\xFF'));
  EXPECT_NE(code_of(with_bits(damaged)), "decoded");
}

// LZW as before TIFF 5.0, with the lowest bit first. Codes stay at 9 bits, as a clear code comes often enough.
TEST(RealTiffs, OldStyleLzw) {
  const Image image = gradient(40, 30);
  std::string packed;
  unsigned held = 0, bits = 0;
  const auto put = [&](unsigned code) {
    for (held |= code << bits, bits += 9; bits >= 8; held >>= 8, bits -= 8) packed += static_cast<char>(held);
  };
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    if (i % 100 == 0) put(256);
    put(image.rgb[i]);
  }
  put(257);
  put(0);
  const auto size = static_cast<std::uint32_t>(packed.size());
  expect_same(
      decode(test::tiff_of(
          {{256, 40}, {257, 30}, {258, 8}, {259, 5}, {262, 2}, {273, 8}, {277, 3}, {278, 30}, {279, size}, {284, 1}},
          packed)),
      image);
}

TEST(RealTiffs, CutOffAreRefusedOrAccepted) {
  // The directory comes first, so that something can be missing behind it: as scanners write into a pipe.
  const Image image = gradient(40, 30);
  const std::string data(image.rgb.begin(), image.rgb.end());
  std::string tiff = "II*\0\x08\0\0\0"s + le16_text(9);
  const std::size_t pixels_at = 8 + 2 + 9 * 12 + 4 + 2 * 3 * 4;
  const auto entry = [](std::uint32_t tag, std::uint32_t count, std::uint32_t value) {
    return le16_text(tag) + le16_text(4) + le32_text(count) + le32_text(value);
  };
  tiff += entry(256, 1, 40) + entry(257, 1, 30) + entry(258, 1, 8) + entry(259, 1, 1) + entry(262, 1, 2) +
          entry(273, 3, 8 + 2 + 9 * 12 + 4) + entry(277, 1, 3) + entry(278, 1, 10) +
          entry(279, 3, 8 + 2 + 9 * 12 + 4 + 12) + le32_text(0);
  for (std::uint32_t strip = 0; strip < 3; ++strip)
    tiff += le32_text(static_cast<std::uint32_t>(pixels_at) + strip * 1200);
  for (int strip = 0; strip < 3; ++strip) tiff += le32_text(1200);
  tiff += data;
  expect_same(decode(tiff), image);
  const std::string cut = tiff.substr(0, pixels_at + 2500);
  EXPECT_EQ(code_of(cut), "image_truncated");
  expect_beginning(decode(cut, kAccepting), image, 20);
  EXPECT_EQ(code_of(tiff.substr(0, pixels_at + 700), kAccepting), "image_truncated");
}

// ---- Camera RAW ----

TEST(CameraRaw, InTheFormOfATiffIsNamedAndItsThumbnailNotShown) {
  const Image thumbnail = gradient(16, 12);
  const std::string pixels(thumbnail.rgb.begin(), thumbnail.rgb.end());
  const std::vector<test::TiffTag> small = {{254, 1}, {256, 16}, {257, 12}, {258, 8},  {259, 1},
                                            {262, 2}, {273, 8},  {277, 3},  {278, 12}, {279, 576}};
  expect_same(decode(test::tiff_of(small, pixels)), thumbnail);
  const auto made_by = [&](const std::string& make) {
    auto tags = small;
    tags.push_back({271, 0, make});
    return tags;
  };
  const std::vector<test::TiffTag> sensor = {{254, 0}, {256, 4000}, {257, 3000}, {262, 32803}};
  auto dng = small;
  dng.push_back({50706, 0x00000401});
  const std::vector<std::pair<std::string, std::string>> files = {
      {test::tiff_of(made_by("NIKON CORPORATION\0\0\0"s), pixels, sensor), "camera RAW (Nikon NEF)"},
      {test::tiff_of(made_by("SONY\0\0\0\0"s), pixels, {{256, 6000}, {259, 32767}}), "camera RAW (Sony ARW)"},
      {test::tiff_of(made_by("PENTAX\0\0"s), pixels, sensor), "camera RAW (Pentax PEF)"},
      {test::tiff_of(made_by("ACME\0\0\0\0"s), pixels, sensor), "camera RAW, "},
      {test::tiff_of(dng, pixels, {{256, 4000}, {262, 34892}}), "camera RAW (DNG)"},
      {test::tiff_of(small, "CR\2\0\0\0\0\0"s + pixels), "camera RAW (Canon CR2)"}};
  for (const auto& [bytes, name] : files) {
    const auto image = decode(bytes);
    ASSERT_FALSE(image) << name;
    EXPECT_EQ(image.error().code, "unsupported_format") << name;
    EXPECT_THAT(image.error().message, testing::AllOf(testing::HasSubstr(name), testing::HasSubstr("JPEG")));
  }
}

TEST(CameraRaw, DirectoriesThatGoInCirclesEnd) {
  std::string tiff = test::tiff_of({{256, 16}, {257, 12}, {330, 8}}, "");
  tiff.replace(tiff.size() - 4, 4, le32_text(8));  // the next directory is the first one again
  EXPECT_NE(code_of(tiff), "decoded");
}

}  // namespace
}  // namespace imgrec::decode_real_photos_test
