// The arithmetic of Pillow's resize (src/libImaging/Resample.c, "BILINEAR"): each output sample is a weighted sum of
// input samples, in 22-bit fixed point, rounded to 8 bits after each of two passes, horizontal first. The kernels
// differ in speed only: sums of integers are the same in any order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace imgrec::resample {

inline constexpr int kFractionBits = 22;  // 32 minus 8 for the sample, minus 2 for sums that overshoot

/// The weights with which one output sample adds up input samples first, first + 1, …
struct Window {
  int first = 0, count = 0;
  std::size_t weights_at = 0;
};

struct Pass {
  std::vector<Window> windows;
  std::vector<std::int32_t> weights;

  int begin() const { return windows.front().first; }
  int end() const { return windows.back().first + windows.back().count; }
  int count_max() const;
};

/// Output samples first_out … first_out + count of a side resized from `in` to `out` samples.
void plan(int in, std::int64_t out, std::int64_t first_out, int count, Pass& pass);

/// A horizontal pass as kernels want it: positions relative to the first sample used, and the weights a second time in
/// the order in which vectors need them (empty: the row is too short for vectors).
struct HorizontalPlan {
  Pass pass;
  int offset = 0;           // of the first sample used
  int groups = 0;           // of four samples per output
  std::vector<int> starts;  // per output, in samples from `offset`
  std::vector<std::int16_t> vectors;
  void finish();  // after `pass` was planned
};

inline constexpr int kVectorOutputs = 4;  // outputs are worked on in groups of this size

/// value * scale + offset, per colour.
struct Scaling {
  std::array<float, 3> scale{}, offset{};
};

/// Pixels between the passes have four bytes, the last is not used.
struct Kernels {
  const char* name;
  /// row: the samples that the plan uses, and kRowSlack readable bytes. out: a multiple of kVectorOutputs pixels.
  void (*horizontal)(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out);
  /// out[i] = the weighted sum of rows[0][i], rows[1][i], …; `bytes` is a multiple of 16.
  void (*vertical)(std::span<const std::uint8_t* const> rows, const std::int32_t* weights, std::size_t bytes,
                   std::uint8_t* out);
  /// To three planes of floats; `plane` floats from one to the next.
  void (*to_planes)(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out, std::size_t plane);
};

const Kernels& portable_kernels();
/// The quickest that this processor runs.
const Kernels& best_kernels();
/// Null where the processor or the build has none.
const Kernels* avx2_kernels();

}  // namespace imgrec::resample
