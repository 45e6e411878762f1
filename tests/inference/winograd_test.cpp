// The kernels against the definition of a convolution, computed in double.
#include "inference/engine/winograd.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <ostream>
#include <random>
#include <vector>

namespace imgrec::winograd::winograd_test {

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.height << "x" << shape.width << "x" << shape.channels << " to " << shape.out_height << "x"
       << shape.out_width << "x" << shape.filters << ", pads " << shape.pad_top << " " << shape.pad_left
       << ", tiles of " << shape.tile;
}

namespace {

using Floats = std::vector<float>;

Floats random_floats(std::size_t count, float scale, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  Floats numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

std::size_t product(int a, int b, int c) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

// As most layers are: a pixel around the image, so that the output has its size.
Shape padded(int height, int width, int channels, int filters) {
  return {.height = height,
          .width = width,
          .channels = channels,
          .out_height = height,
          .out_width = width,
          .filters = filters,
          .pad_top = 1,
          .pad_left = 1};
}

struct Problem {
  explicit Problem(const Shape& s)
      : shape(s),
        image(random_floats(product(s.height, s.width, s.channels), 1, 1)),
        filters(
            random_floats(product(s.filters, s.channels, 9), 1 / std::sqrt(9.0F * static_cast<float>(s.channels)), 2)),
        bias(random_floats(static_cast<std::size_t>(s.filters), 1, 3)),
        residual(random_floats(product(s.out_height, s.out_width, s.filters), 1, 4)) {}

  double pixel(int y, int x, int channel) const {
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) return 0;
    return image[product(y * shape.width + x, shape.channels, 1) + static_cast<std::size_t>(channel)];
  }

  std::vector<double> expected(bool add, bool relu) const {
    std::vector<double> out;
    for (int y = 0; y < shape.out_height; ++y) {
      for (int x = 0; x < shape.out_width; ++x) {
        for (int k = 0; k < shape.filters; ++k) {
          double sum = bias[static_cast<std::size_t>(k)] + (add ? residual[out.size()] : 0);
          const float* weight = filters.data() + product(k, shape.channels, 9);
          for (int c = 0; c < shape.channels; ++c) {
            for (int i = 0; i < 9; ++i) {
              sum += pixel(y + i / 3 - shape.pad_top, x + i % 3 - shape.pad_left, c) * *weight++;
            }
          }
          out.push_back(relu ? std::max(sum, 0.0) : sum);
        }
      }
    }
    return out;
  }

  // Surrounded by numbers that have to stay as they are.
  Floats computed(const Kernels& kernels, bool add, bool relu) const {
    constexpr std::size_t kMargin = 64;
    const Floats weights = transform_weights(filters, shape);
    Floats workspace(kernels.workspace(shape) + kMargin, 7), output(residual.size() + 2 * kMargin, 7);
    kernels.convolve(shape,
                     {.input = image.data(),
                      .weights = weights.data(),
                      .bias = bias.data(),
                      .residual = add ? residual.data() : nullptr,
                      .output = output.data() + kMargin,
                      .relu = relu},
                     workspace.data());
    for (std::size_t i = 0; i < kMargin; ++i) {
      EXPECT_EQ(output[i], 7);
      EXPECT_EQ(output[output.size() - 1 - i], 7);
      EXPECT_EQ(workspace[workspace.size() - 1 - i], 7);
    }
    return {output.begin() + kMargin, output.end() - kMargin};
  }

  Shape shape;
  Floats image, filters, bias, residual;
};

class WinogradTest : public testing::TestWithParam<Shape> {};

TEST_P(WinogradTest, ComputesTheConvolution) {
  bool any = false;
  for (const Kernels* kernels : {avx2_kernels(), avx512_kernels()}) {
    if (kernels == nullptr) continue;
    any = true;
    SCOPED_TRACE(kernels->name);
    for (const int tile : {2, 4}) {
      SCOPED_TRACE(tile);
      Shape shape = GetParam();
      shape.tile = tile;
      const Problem problem(shape);
      for (const bool rest : {false, true}) {
        const std::vector<double> expected = problem.expected(rest, rest);
        const Floats computed = problem.computed(*kernels, rest, rest);
        ASSERT_EQ(computed.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(computed[i], expected[i], 3e-5) << "at " << i;
      }
    }
  }
  if (!any) GTEST_SKIP() << "This processor has neither AVX2 nor AVX-512.";
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, WinogradTest,
    testing::Values(
        // A single square, less than one, and one that is nothing but what surrounds the image.
        Shape{.height = 6, .width = 6, .channels = 16, .out_height = 4, .out_width = 4, .filters = 32},
        Shape{.height = 3, .width = 3, .channels = 16, .out_height = 1, .out_width = 1, .filters = 32},
        Shape{.height = 1,
              .width = 1,
              .channels = 16,
              .out_height = 3,
              .out_width = 3,
              .filters = 32,
              .pad_top = 2,
              .pad_left = 2},
        // Odd sizes, in both directions; every number of squares from a few to more than one block.
        padded(5, 7, 32, 64), padded(13, 9, 48, 32),
        Shape{.height = 9,
              .width = 30,
              .channels = 16,
              .out_height = 8,
              .out_width = 31,
              .filters = 96,
              .pad_top = 0,
              .pad_left = 2},
        padded(29, 27, 16, 32),
        Shape{
            .height = 2, .width = 90, .channels = 16, .out_height = 1, .out_width = 88, .filters = 32, .pad_top = 1}));

TEST(Winograd, TheQuickestKernelsAreTaken) {
  if (avx512_kernels() != nullptr) {
    EXPECT_EQ(best_kernels(), avx512_kernels());
  } else {
    EXPECT_EQ(best_kernels(), avx2_kernels());
  }
}

}  // namespace
}  // namespace imgrec::winograd::winograd_test
