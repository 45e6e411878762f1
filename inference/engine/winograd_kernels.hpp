// The kernels of winograd.hpp for vectors of kWidth floats and blocks of kRows x 2 of them in registers, which whoever
// includes this defines before. Each includes it in a file of its own, compiled for the instructions that it needs: all
// here is in an unnamed namespace and no function of a library is used, as the linker would otherwise be free to take a
// function compiled for one processor everywhere.
#include <cstddef>
#include <utility>

#include "inference/engine/winograd.hpp"

namespace imgrec::winograd {
namespace {

#define IMGREC_INLINE inline __attribute__((always_inline))

using Vector = float __attribute__((vector_size(kWidth * sizeof(float))));
using Unaligned = float __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));

constexpr std::size_t kStep = kFiltersStep;
// Points x tiles at a time: what lies between the steps stays in the cache.
constexpr std::size_t kNumbersMax = 36 * 28;
template <std::size_t Tile>
constexpr std::size_t kPoints = points(Tile);
constexpr std::size_t kOffPowersOfTwo = 16;  // between the points: else they would share few places of the cache

IMGREC_INLINE Vector load(const float* at) {
  return *reinterpret_cast<const Unaligned*>(at);
}
IMGREC_INLINE void store(float* at, Vector value) {
  *reinterpret_cast<Unaligned*>(at) = value;
}

// A row or column of an input square: B^T d. Steps are in vectors.
template <std::size_t Tile>
IMGREC_INLINE void transform_input(const Vector* d, Vector* out, std::size_t step) {
  if constexpr (Tile == 2) {
    out[0] = d[0] - d[2];
    out[step] = d[1] + d[2];
    out[2 * step] = d[2] - d[1];
    out[3 * step] = d[1] - d[3];
  } else {
    const Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], far_even = d[4] - d[2], far_odd = 2 * (d[3] - d[1]);
    out[0] = 4 * d[0] - 5 * d[2] + d[4];
    out[step] = even + odd;
    out[2 * step] = even - odd;
    out[3 * step] = far_even + far_odd;
    out[4 * step] = far_even - far_odd;
    out[5 * step] = 4 * d[1] - 5 * d[3] + d[5];
  }
}

// A row or column of an output square, from sums of products: A^T m.
template <std::size_t Tile>
IMGREC_INLINE void transform_output(const Vector* m, Vector* out, std::size_t step) {
  const Vector sum = m[1] + m[2], difference = m[1] - m[2];
  if constexpr (Tile == 2) {
    out[0] = m[0] + sum;
    out[step] = difference - m[3];
  } else {
    const Vector far_sum = m[3] + m[4], far_difference = m[3] - m[4];
    out[0] = m[0] + sum + far_sum;
    out[step] = difference + 2 * far_difference;
    out[2 * step] = sum + 4 * far_sum;
    out[3 * step] = difference + 8 * far_difference + m[5];
  }
}

// What the steps share of one convolution: sizes, and where the parts of the workspace are.
struct Plan {
  std::size_t channels, columns, tiles;  // columns of tiles
  std::size_t block;                     // tiles at a time, at most
  std::size_t in_step, out_step;         // between the points, in numbers
};

IMGREC_INLINE std::size_t parts_of(std::size_t whole, std::size_t part_max) {
  return (whole + part_max - 1) / part_max;
}

template <std::size_t Tile>
IMGREC_INLINE Plan plan(const Shape& shape) {
  constexpr std::size_t kTilesMax = kNumbersMax / kPoints<Tile>;
  Plan p{};
  p.channels = static_cast<std::size_t>(shape.channels);
  p.columns = parts_of(static_cast<std::size_t>(shape.out_width), Tile);
  p.tiles = p.columns * parts_of(static_cast<std::size_t>(shape.out_height), Tile);
  p.block = parts_of(p.tiles, parts_of(p.tiles, kTilesMax));
  p.in_step = p.block * p.channels + kOffPowersOfTwo;
  p.out_step = p.block * kStep + kOffPowersOfTwo;
  return p;
}

// One tile's input to all points, [channels / kWidth] vectors `step` numbers apart in each point.
template <std::size_t Tile>
IMGREC_INLINE void scatter_tile(const Shape& shape, const Plan& p, const float* input, const float* zeros,
                                std::size_t tile, float* out, std::size_t step) {
  constexpr std::size_t kSide = Tile + 2;
  const auto top = static_cast<std::ptrdiff_t>(tile / p.columns * Tile) - shape.pad_top;
  const auto left = static_cast<std::ptrdiff_t>(tile % p.columns * Tile) - shape.pad_left;
  const float* pixels[kSide][kSide];
  for (std::size_t i = 0; i < kSide; ++i) {
    for (std::size_t j = 0; j < kSide; ++j) {
      const std::ptrdiff_t y = top + static_cast<std::ptrdiff_t>(i), x = left + static_cast<std::ptrdiff_t>(j);
      const bool inside = y >= 0 && y < shape.height && x >= 0 && x < shape.width;
      pixels[i][j] = inside ? input + (y * shape.width + x) * shape.channels : zeros;
    }
  }
  for (std::size_t c = 0; c < p.channels; c += kWidth, out += step) {
    Vector half[kSide * kSide], whole[kSide * kSide];
#pragma GCC unroll 6
    for (std::size_t j = 0; j < kSide; ++j) {
      Vector column[kSide];
#pragma GCC unroll 6
      for (std::size_t i = 0; i < kSide; ++i) column[i] = load(pixels[i][j] + c);
      transform_input<Tile>(column, half + j, kSide);
    }
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kSide; ++i) transform_input<Tile>(half + kSide * i, whole + i, kSide);
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kSide; ++i) {
#pragma GCC unroll 6
      for (std::size_t j = 0; j < kSide; ++j) store(out + (i * kSide + j) * p.in_step, whole[j * kSide + i]);
    }
  }
}

// Tiles x channels times channels x kFiltersStep, for one point: `in` is [channels / kWidth, Tiles, kWidth]. Weights
// come from far: `ahead` says how many numbers further on the next ones are that are needed (0: they are there).
template <std::size_t Tiles>
void multiply(const float* in, const float* weights, std::size_t channels, float* out, std::size_t ahead) {
  for (std::size_t part = 0; part < kStep; part += 2 * kWidth) {
    Vector sums[Tiles][2];
    for (std::size_t i = 0; i < Tiles; ++i) sums[i][0] = sums[i][1] = Vector{};
    const float* w = weights + part;
    const float* const end = in + Tiles * channels;
    for (const float* x = in; x != end; x += (Tiles - 1) * kWidth) {
      for (const float* const chunk_end = x + kWidth; x != chunk_end; ++x, w += kStep) {
        const Vector w0 = load(w), w1 = load(w + kWidth);
        __builtin_prefetch(w + ahead, 0, 2);
        __builtin_prefetch(w + ahead + kWidth, 0, 2);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < Tiles; ++i) {
          const Vector same = x[i * kWidth] - Vector{};  // one number in all places
          sums[i][0] += same * w0;
          sums[i][1] += same * w1;
        }
      }
    }
    for (std::size_t i = 0; i < Tiles; ++i) {
      store(out + i * kStep + part, sums[i][0]);
      store(out + i * kStep + part + kWidth, sums[i][1]);
    }
  }
}

using Multiply = void (*)(const float*, const float*, std::size_t, float*, std::size_t);
template <std::size_t... I>
constexpr auto multiply_table(std::index_sequence<I...>) {
  struct Table {
    Multiply of_tiles[sizeof...(I)];
  };
  return Table{{multiply<I + 1>...}};
}
constexpr auto kMultiply = multiply_table(std::make_index_sequence<kRows>());  // first for one tile

// One tile's kFiltersStep outputs, from the sums of all points.
template <std::size_t Tile>
IMGREC_INLINE void gather_tile(const Shape& shape, const Plan& p, const Operands& operands, std::size_t filter,
                               std::size_t tile, const float* sums) {
  constexpr std::size_t kSide = Tile + 2;
  const std::size_t top = tile / p.columns * Tile, left = tile % p.columns * Tile;
  const auto height = static_cast<std::size_t>(shape.out_height), width = static_cast<std::size_t>(shape.out_width),
             filters = static_cast<std::size_t>(shape.filters);
  for (std::size_t part = 0; part < kStep; part += kWidth) {
    Vector half[Tile * kSide], square[Tile * Tile];
#pragma GCC unroll 6
    for (std::size_t j = 0; j < kSide; ++j) {
      Vector column[kSide];
#pragma GCC unroll 6
      for (std::size_t i = 0; i < kSide; ++i) column[i] = load(sums + (i * kSide + j) * p.out_step + part);
      transform_output<Tile>(column, half + j, kSide);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Tile; ++i) transform_output<Tile>(half + kSide * i, square + Tile * i, 1);
    const Vector bias = load(operands.bias + filter + part);
    for (std::size_t i = 0; i < Tile && top + i < height; ++i) {
      for (std::size_t j = 0; j < Tile && left + j < width; ++j) {
        const std::size_t at = ((top + i) * width + left + j) * filters + filter + part;
        Vector value = square[i * Tile + j] + bias;
        if (operands.residual != nullptr) value += load(operands.residual + at);
        if (operands.relu) value = value > 0 ? value : Vector{};
        store(operands.output + at, value);
      }
    }
  }
}

// Tiles go through in blocks, and in a block in groups of as many as registers hold. Weights are the largest part: a
// block reads them once.
template <std::size_t Tile>
void convolve_tiles(const Shape& shape, const Operands& operands, float* workspace) {
  const Plan p = plan<Tile>(shape);
  float *const in = workspace, *const sums = in + kPoints<Tile> * p.in_step,
               *const zeros = sums + kPoints<Tile> * p.out_step;
  for (std::size_t c = 0; c < p.channels; ++c) zeros[c] = 0;
  for (std::size_t first = 0; first < p.tiles; first += p.block) {
    const std::size_t count = p.tiles - first < p.block ? p.tiles - first : p.block, groups = parts_of(count, kRows);
    const auto begin_of = [&](std::size_t group) { return group * count / groups; };
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t begin = begin_of(g), end = begin_of(g + 1);
      for (std::size_t tile = begin; tile < end; ++tile) {
        float* const out = in + begin * p.channels + (tile - begin) * kWidth;
        scatter_tile<Tile>(shape, p, operands.input, zeros, first + tile, out, (end - begin) * kWidth);
      }
    }
    const float* weights = operands.weights;
    for (std::size_t filter = 0; filter < static_cast<std::size_t>(shape.filters); filter += kStep) {
      for (std::size_t point = 0; point < kPoints<Tile>; ++point, weights += p.channels * kStep) {
        for (std::size_t g = 0; g < groups; ++g) {
          const std::size_t begin = begin_of(g), end = begin_of(g + 1);
          kMultiply.of_tiles[end - begin - 1](in + point * p.in_step + begin * p.channels, weights, p.channels,
                                              sums + point * p.out_step + begin * kStep,
                                              g == 0 ? p.channels * kStep : 0);
        }
      }
      for (std::size_t tile = 0; tile < count; ++tile) {
        gather_tile<Tile>(shape, p, operands, filter, first + tile, sums + tile * kStep);
      }
    }
  }
}

template <std::size_t Tile>
std::size_t floats_for(const Shape& shape) {
  const Plan p = plan<Tile>(shape);
  return kPoints<Tile> * (p.in_step + p.out_step) + p.channels;
}

std::size_t workspace(const Shape& shape) {
  return shape.tile == 2 ? floats_for<2>(shape) : floats_for<4>(shape);
}

void convolve(const Shape& shape, const Operands& operands, float* workspace) {
  return shape.tile == 2 ? convolve_tiles<2>(shape, operands, workspace)
                         : convolve_tiles<4>(shape, operands, workspace);
}

}  // namespace
}  // namespace imgrec::winograd
