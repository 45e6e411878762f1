// HEIC and AVIF, encoded with libheif as well: it is not the codec that is tested here, but how it is called and
// bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libheif/heif.h>

#include <cmath>

#include "inference/decode/decode.hpp"
#include "tests/inference/encode.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/long_run.hpp"

namespace imgrec::decode_heif_test {
namespace {

using test::gradient;

struct HeifOptions {
  heif_compression_format format = heif_compression_HEVC;
  heif_orientation orientation = heif_orientation_normal;
};

std::string encode_heif(const Image& image, const HeifOptions& how = {}) {
  heif_context* context = heif_context_alloc();
  heif_encoder* encoder = nullptr;
  heif_context_get_encoder_for_format(context, how.format, &encoder);
  heif_encoder_set_lossy_quality(encoder, 95);
  heif_image* pixels = nullptr;
  heif_image_create(image.width, image.height, heif_colorspace_RGB, heif_chroma_interleaved_RGB, &pixels);
  heif_image_add_plane(pixels, heif_channel_interleaved, image.width, image.height, 24);
  int stride = 0;
  std::uint8_t* rows = heif_image_get_plane(pixels, heif_channel_interleaved, &stride);
  for (int y = 0; y < image.height; ++y) std::copy_n(image.row(y), 3 * image.width, rows + y * stride);
  heif_encoding_options* options = heif_encoding_options_alloc();
  options->image_orientation = how.orientation;
  heif_context_encode_image(context, pixels, encoder, options, nullptr);
  std::string out;
  heif_writer writer{.writer_api_version = 1, .write = [](heif_context*, const void* data, size_t size, void* to) {
                       static_cast<std::string*>(to)->assign(static_cast<const char*>(data), size);
                       return heif_error{heif_error_Ok, heif_suberror_Unspecified, ""};
                     }};
  heif_context_write(context, &writer, &out);
  heif_encoding_options_free(options);
  heif_image_release(pixels);
  heif_encoder_release(encoder);
  heif_context_free(context);
  return out;
}

Result<Image> decode(const std::string& bytes, const ImageConfig& limits = {}) {
  ImageDecoder decoder(limits);
  const auto image = decoder.decode(bytes);
  if (!image) return fail(image.error());
  return **image;
}

std::string code_of(const std::string& bytes, const ImageConfig& limits = {}) {
  const auto image = decode(bytes, limits);
  return image ? "decoded" : image.error().code;
}

// Of a colour, on average.
double difference(const Result<Image>& image, const Image& wanted) {
  if (!image || image->width != wanted.width || image->height != wanted.height) {
    ADD_FAILURE() << (image ? std::to_string(image->width) + " x " + std::to_string(image->height)
                            : describe(image.error()));
    return 1000;
  }
  double sum = 0;
  for (std::size_t i = 0; i < wanted.rgb.size(); ++i) sum += std::abs(image->rgb[i] - wanted.rgb[i]);
  return sum / static_cast<double>(wanted.rgb.size());
}

// Smooth, as colours have half the resolution.
Image smooth(int width, int height) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(40 + 150 * x / width);
      pixel[1] = static_cast<std::uint8_t>(60 + 120 * y / height);
      pixel[2] = static_cast<std::uint8_t>(200 - 90 * x / width);
    }
  }
  return image;
}

class Heif : public testing::TestWithParam<heif_compression_format> {
 protected:
  std::string encoded(const Image& image, heif_orientation orientation = heif_orientation_normal) const {
    return encode_heif(image, {.format = GetParam(), .orientation = orientation});
  }
};
INSTANTIATE_TEST_SUITE_P(Formats, Heif, testing::Values(heif_compression_HEVC, heif_compression_AV1),
                         [](const auto& one) { return one.param == heif_compression_HEVC ? "heic" : "avif"; });

TEST_P(Heif, IsDecoded) {
  for (const auto& [width, height] : {std::pair{320, 200}, {97, 131}, {64, 64}}) {
    EXPECT_LT(difference(decode(encoded(smooth(width, height))), smooth(width, height)), 6.0);
  }
}

TEST_P(Heif, IsTurnedUpright) {
  const Image upright = smooth(120, 80);
  Image turned;  // by 180 degrees
  turned.reset(120, 80);
  for (int y = 0; y < 80; ++y) {
    for (int x = 0; x < 120; ++x) std::copy_n(upright.row(79 - y) + 3 * (119 - x), 3, turned.row(y) + 3 * x);
  }
  EXPECT_LT(difference(decode(encoded(turned, heif_orientation_rotate_180)), upright), 6.0);
  const auto quarter = decode(encoded(upright, heif_orientation_rotate_90_cw));
  ASSERT_TRUE(quarter);
  EXPECT_EQ(quarter->width, 80);
  EXPECT_EQ(quarter->height, 120);
}

TEST_P(Heif, IsMeasuredBeforeItIsDecoded) {
  const auto image = decode(encoded(smooth(320, 200)), {.pixels_max = 60'000});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, "image_too_large");
  EXPECT_THAT(image.error().message, testing::AllOf(testing::HasSubstr("320 x 200"), testing::HasSubstr("60000")));
}

TEST_P(Heif, CutOffIsAnError) {
  const std::string bytes = encoded(smooth(160, 120));
  for (const double part : {0.1, 0.3, 0.6, 0.9}) {
    const std::string cut = bytes.substr(0, static_cast<std::size_t>(part * static_cast<double>(bytes.size())));
    EXPECT_THAT(code_of(cut), testing::AnyOf("image_truncated", "image_corrupt", "unsupported_format")) << part;
  }
  EXPECT_EQ(code_of(bytes.substr(0, bytes.size() - 10)), "image_truncated");
}

TEST_P(Heif, DamageIsAnAnswerOrAClearError) {
  const std::string sound = encoded(smooth(160, 120));
  test::SeededRng rng(11);
  ImageDecoder decoder{ImageConfig{.pixels_max = 1'000'000}};
  // Each is decoded in a child, whose start takes long under a sanitizer.
  const int rounds = test::long_run() ? 150 : 30;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = sound;
    // Mostly in the boxes, which say what is where.
    const std::size_t within = round % 3 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 500);
    for (std::uint64_t i = 0; i <= rng.next() % 3; ++i)
      bytes[12 + rng.next() % (within - 12)] = static_cast<char>(rng.next());
    const auto image = decoder.decode(bytes);
    if (!image) {
      EXPECT_EQ(image.error().kind, ErrorKind::invalid) << describe(image.error());
    } else {
      EXPECT_LE((*image)->rgb.size(), 3'000'000U);
    }
  }
}

}  // namespace
}  // namespace imgrec::decode_heif_test
