// 3x3 convolutions of stride 1 by Winograd's minimal filtering: an output square of 4x4 from an input square of 6x6
// takes 36 products per channel instead of 144, one of 2x2 takes 16 instead of 36. A. Lavin and S. Gray, "Fast
// Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3) and F(2x2, 3x3). Sums are added in another order
// than in a direct convolution: results differ in the last bits.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace imgrec::winograd {

inline constexpr int kChannelsStep = 16;  // input channels are a multiple of this
inline constexpr int kFiltersStep = 32;   // and filters of this

/// One image, channels last: input [height, width, channels], output [out_height, out_width, filters]. Pixels outside
/// the image are 0; pad_top and pad_left say how many of them come before the first row and column. out_height is at
/// most height + pad_top, and as for the width.
struct Shape {
  int height = 0, width = 0, channels = 0;
  int out_height = 0, out_width = 0, filters = 0;
  int pad_top = 0, pad_left = 0;
  int tile = 4;  // side of the output squares: 2 or 4
};

/// output = input * weights + bias + residual, then what is below 0 becomes 0 when relu says so.
struct Operands {
  const float* input = nullptr;
  const float* weights = nullptr;   // as transform_weights() gives them
  const float* bias = nullptr;      // [filters]
  const float* residual = nullptr;  // as output; may be null, may not be the output
  float* output = nullptr;
  bool relu = false;
};

/// How many products of each channel and filter make one output square: 16 or 36.
constexpr int points(int tile) {
  return (tile + 2) * (tile + 2);
}

/// How many such squares cover the output.
int tiles(const Shape& shape);

/// Filters [filters, channels, 3, 3] as the kernels want them: [filters / kFiltersStep, points, channels,
/// kFiltersStep], that is 16/9 or 4 times as many numbers. Of the shape only the filters, channels and tile count.
std::vector<float> transform_weights(std::span<const float> filters, const Shape& shape);

struct Kernels {
  const char* name;
  /// Numbers of its own that convolve() needs, aligned to 64 bytes.
  std::size_t (*workspace)(const Shape& shape);
  void (*convolve)(const Shape& shape, const Operands& operands, float* workspace);
};

/// The quickest that this processor runs, null where there are none.
const Kernels* best_kernels();
/// Null where the processor or the build has none.
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();

}  // namespace imgrec::winograd
