#include "inference/preprocess/preprocess.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "lib/base/digest.hpp"

namespace imgrec::preprocess_test {
namespace {

// Also made in Python, for the expected digests.
Image pattern(int width, int height) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c)
        image.row(y)[3 * x + c] = static_cast<std::uint8_t>(x * 7 + y * 13 + c * 50 + (x * y) % 31);
    }
  }
  return image;
}

// The network's input of the profile tf, turned back into bytes.
std::string bytes_of(const std::vector<float>& input, int size) {
  const std::size_t plane = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
  std::string bytes;
  for (std::size_t i = 0; i < plane; ++i) {
    for (std::size_t c = 0; c < 3; ++c) bytes += static_cast<char>(std::lround((input[c * plane + i] + 1.0F) * 127.5F));
  }
  return bytes;
}

struct Case {
  int width, height;
  const char* sha256;
};

// Pillow 13.0: Image.resize((w, h), BILINEAR) with torchvision's sizes, then crop(), digest of tobytes().
constexpr Case kPillow[] = {
    {470, 390, "10ba6d1526721928fdfc882080385f0d0c9ba4884056e4f46aee73827f9993e7"},
    {390, 470, "71591fcdc973d73010fed2e1baa47476fdf9b3ad478e7a9b17eebc142b9fdb9c"},
    {100, 60, "2e5587c39f752466b75ec976374fccd8b6ec6774e9eb61db9728aa2f7bb73cd9"},
    {224, 224, "37243687e79f0cff8d9043d08772851bf5bf3c0d356707bd88741a0fce15b352"},
    {256, 256, "0962e5bc2b8228044cee9baf2ecef1c8202364b0c5e2dc21b5f640e429759577"},
    {300, 257, "72dda2a52e9a5bd6e23ff0032b4fb5c1b3e55ae54b4f6277ee4f03907d49db38"},
    {1, 1, "7306b957ee5ed5c71b955934fbbd0f08ca920b03256f44d89400cfd8f1c913b8"},
    {3, 700, "5b77085a1b7bddb9bb21ed07b1633636870311ee370f1dc2c0142351827c0a53"},
    {2000, 1501, "5052a83cb96da7638deb5eddb90d62f954f0e6fe616f7379bdde81e5b5341e81"},
};

TEST(Preprocess, ResizeAndCropAreBitForBitPillows) {
  Preprocessor preprocessor({PreprocessProfile::tf, 224});
  for (const Case& one : kPillow) {
    const Image image = pattern(one.width, one.height);
    std::vector<float> input(preprocessor.input_size_for(image.width, image.height)->floats(), NAN);
    preprocessor.run(image, input);
    EXPECT_EQ(sha256_hex(bytes_of(input, 224)), one.sha256) << one.width << " x " << one.height;
  }
}

const std::vector<const resample::Kernels*>& all_kernels() {
  static const std::vector<const resample::Kernels*> all = [] {
    std::vector<const resample::Kernels*> found{&resample::portable_kernels()};
    for (const auto* kernels : {resample::avx2_kernels(), resample::avx512_kernels(), resample::neon_kernels()}) {
      if (kernels != nullptr) found.push_back(kernels);
    }
    return found;
  }();
  return all;
}

TEST(Preprocess, AllKernelsGiveTheVeryNumbers) {
  const Image earlier = pattern(300, 300);  // nothing of its plan may stay
  for (const auto& [width, height] : {std::pair{1, 1},
                                      {2, 3},
                                      {5, 400},
                                      {224, 224},
                                      {257, 256},
                                      {470, 390},
                                      {500, 375},
                                      {640, 480},
                                      {766, 627},
                                      {1023, 1500},
                                      {3000, 64},
                                      {4000, 3000}}) {
    const Image image = pattern(width, height);
    for (const auto profile : {PreprocessProfile::imagenet, PreprocessProfile::tf}) {
      for (const int size : {224, 192, 33, 6}) {
        std::vector<std::vector<float>> inputs;
        for (const resample::Kernels* kernels : all_kernels()) {
          Preprocessor preprocessor({profile, size}, *kernels);
          std::vector<float> ignored(preprocessor.input_size_for(300, 300)->floats());
          preprocessor.run(earlier, ignored);
          inputs.emplace_back(preprocessor.input_size_for(width, height)->floats(), NAN);
          preprocessor.run(image, inputs.back());
          EXPECT_TRUE(inputs.back() == inputs.front())
              << kernels->name << " " << width << " x " << height << " " << size;
        }
      }
    }
  }
}

TEST(Preprocess, ExtremeSidesStayInBounds) {
  Preprocessor preprocessor({PreprocessProfile::imagenet, 224});
  for (const auto& [width, height] : {std::pair{1, 5000}, {5000, 1}, {1, 65'535}, {65'535, 1}, {2, 3}, {65'535, 381}}) {
    const Image image = pattern(width, height);
    std::vector<float> input(preprocessor.input_size_for(image.width, image.height)->floats(), NAN);
    preprocessor.run(image, input);
    for (const float value : input)
      ASSERT_TRUE(std::isfinite(value) && std::abs(value) < 3) << width << " x " << height;
  }
}

TEST(Preprocess, ProfilesScaleAsTheyPromise) {
  Image image;
  image.reset(300, 300);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3)
    image.rgb[i] = 255, image.rgb[i + 1] = 128, image.rgb[i + 2] = 0;
  const auto first_of_planes = [&](PreprocessProfile profile) {
    Preprocessor preprocessor({profile, 224});
    const InputSize size = *preprocessor.input_size_for(image.width, image.height);
    std::vector<float> input(size.floats());
    preprocessor.run(image, input);
    const std::size_t plane = size.floats() / 3;
    return std::vector<float>{input[0], input[plane], input[2 * plane]};
  };
  const auto near = [](const std::vector<float>& got, const std::vector<float>& wanted) {
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(got[i], wanted[i], 1e-6);
  };
  near(first_of_planes(PreprocessProfile::imagenet),
       {(1.0F - 0.485F) / 0.229F, (128 / 255.0F - 0.456F) / 0.224F, (0.0F - 0.406F) / 0.225F});
  near(first_of_planes(PreprocessProfile::tf), {1.0F, 128 / 127.5F - 1, -1.0F});
  near(first_of_planes(PreprocessProfile::as_is), {1.0F, 128 / 255.0F, 0.0F});
}

TEST(Preprocess, OtherInputSizesKeepTheProportion) {
  // 192 of 219: the part of a 438 x 438 image that is kept begins at about (219 - 192) / 2 / 219 of its side.
  Preprocessor preprocessor({PreprocessProfile::tf, 192});
  Image image;
  image.reset(438, 438);
  for (int y = 0; y < 438; ++y) {
    for (int x = 0; x < 438; ++x) image.row(y)[3 * x] = static_cast<std::uint8_t>(x / 2);
  }
  std::vector<float> input(preprocessor.input_size_for(image.width, image.height)->floats());
  preprocessor.run(image, input);
  EXPECT_EQ(input.size(), 3U * 192 * 192);
  EXPECT_NEAR((input[0] + 1) * 127.5, 14, 1.01);
  EXPECT_NEAR((input[191] + 1) * 127.5, 205, 1.01);
}

TEST(Preprocess, AsIsTakesTheImagesOwnSizeWithinBounds) {
  Preprocessor preprocessor({PreprocessProfile::as_is, 224});
  const Image image = pattern(64, 48);
  const InputSize size = *preprocessor.input_size_for(image.width, image.height);
  EXPECT_EQ(size.width, 64);
  EXPECT_EQ(size.height, 48);
  std::vector<float> input(size.floats());
  preprocessor.run(image, input);
  EXPECT_EQ(input[64 * 48 + 65], static_cast<float>(image.row(1)[3 + 1]) / 255.0F);
  EXPECT_EQ(preprocessor.input_size_for(1025, 1024).error().code, "image_too_large");
}

}  // namespace
}  // namespace imgrec::preprocess_test
