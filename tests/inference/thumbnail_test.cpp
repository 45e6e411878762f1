#include "inference/decode/thumbnail.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "inference/decode/decode.hpp"
#include "tests/inference/encode.hpp"

namespace imgrec::thumbnail_test {
namespace {

using testing::Each;
using testing::Le;

// The picture of the bytes, decoded again.
Image thumbnail(const std::string& bytes, int side) {
  const auto made = make_thumbnail(bytes, side, {});
  if (!made) {
    ADD_FAILURE() << describe(made.error());
    return {};
  }
  EXPECT_TRUE(made->starts_with("\xFF\xD8\xFF"));
  ImageDecoder decoder({});
  const auto image = decoder.decode(*made);
  if (!image) {
    ADD_FAILURE() << describe(image.error());
    return {};
  }
  return **image;
}

// Red, green, blue and white quarters.
Image quarters(int width, int height) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool right = 2 * x >= width, low = 2 * y >= height;
      std::uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = right == low ? 255 : 0;
      pixel[1] = right ? 255 : 0;
      pixel[2] = low ? 255 : 0;
    }
  }
  return image;
}

// How far each colour of the pixel at these parts of the sides is from this one.
std::array<int, 3> distance(const Image& image, double x, double y, std::array<int, 3> rgb) {
  const std::uint8_t* pixel = image.row(static_cast<int>(y * image.height)) + 3 * static_cast<int>(x * image.width);
  return {std::abs(pixel[0] - rgb[0]), std::abs(pixel[1] - rgb[1]), std::abs(pixel[2] - rgb[2])};
}

TEST(Thumbnail, ShowsTheWholeImageInEveryFormat) {
  const Image image = quarters(640, 320);
  for (const std::string& bytes : {test::encode_png(image), test::encode_jpeg(image), test::encode_webp(image),
                                   test::encode_bmp(image), test::encode_tiff(image)}) {
    const Image small = thumbnail(bytes, 96);
    ASSERT_EQ(small.width, 96);
    ASSERT_EQ(small.height, 48);
    EXPECT_THAT(distance(small, 0.25, 0.25, {255, 0, 0}), Each(Le(12)));
    EXPECT_THAT(distance(small, 0.75, 0.25, {0, 255, 0}), Each(Le(12)));
    EXPECT_THAT(distance(small, 0.25, 0.75, {0, 0, 255}), Each(Le(12)));
    EXPECT_THAT(distance(small, 0.75, 0.75, {255, 255, 255}), Each(Le(12)));
  }
}

TEST(Thumbnail, IsTheMeanOfWhatFallsIntoEachPixel) {
  Image stripes;
  stripes.reset(512, 512);
  for (int y = 0; y < 512; ++y) {
    for (int x = 0; x < 512; ++x) stripes.row(y)[3 * x] = x % 2 != 0 ? 200 : 0;
  }
  const Image small = thumbnail(test::encode_png(stripes), 64);
  EXPECT_THAT(distance(small, 0.1, 0.9, {100, 0, 0}), Each(Le(8)));
}

TEST(Thumbnail, StandsUpright) {
  const Image small =
      thumbnail(test::encode_tiff(quarters(600, 300), {.orientation = 6}), 100);  // turned by 90 degrees
  ASSERT_EQ(small.width, 50);
  ASSERT_EQ(small.height, 100);
  EXPECT_THAT(distance(small, 0.75, 0.25, {255, 0, 0}), Each(Le(12)));
  EXPECT_THAT(distance(small, 0.25, 0.25, {0, 0, 255}), Each(Le(12)));
}

TEST(Thumbnail, NeverGrowsAndNeverVanishes) {
  const Image tiny = thumbnail(test::encode_png(quarters(20, 10)), 96);
  EXPECT_EQ(tiny.width, 20);
  EXPECT_EQ(tiny.height, 10);
  const Image line = thumbnail(test::encode_png(quarters(3000, 1)), 96);
  EXPECT_EQ(line.width, 96);
  EXPECT_EQ(line.height, 1);
}

TEST(Thumbnail, OfABrokenImageIsItsError) {
  const std::string whole = test::encode_png(test::gradient(64, 64));
  EXPECT_EQ(make_thumbnail(whole.substr(0, whole.size() / 2), 96, {}).error().code, "image_truncated");
  EXPECT_EQ(make_thumbnail("no image", 96, {}).error().code, "unsupported_format");
}

}  // namespace
}  // namespace imgrec::thumbnail_test
