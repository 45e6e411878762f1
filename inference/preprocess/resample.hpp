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

/// Two neighbouring weights (the second 0 at the end), each in two parts of 11 bits, a part of both in one number:
/// processors multiply and add pairs of 16-bit numbers twice as fast as single 32-bit ones, and the sum stays exact.
struct WeightPair {
  std::int32_t high = 0, low = 0;
};
inline constexpr int kLowBits = 11;

struct Pass {
  std::vector<Window> windows;
  std::vector<std::int32_t> weights;
  std::vector<WeightPair> pairs;      // those of a window follow each other
  std::vector<std::size_t> pairs_at;  // per window

  int begin() const { return windows.front().first; }
  int end() const { return windows.back().first + windows.back().count; }
  int count_max() const;
};

/// Output samples first_out … first_out + count of a side resized from `in` to `out` samples.
void plan(int in, std::int64_t out, std::int64_t first_out, int count, Pass& pass);

/// A horizontal pass as kernels want it: positions relative to the first sample used, and the weights a second time in
/// the order in which vectors need them: as quads where four outputs reach no further than 64 bytes and such are asked
/// for, else as pairs (empty: the row is too short for vectors).
struct HorizontalPlan {
  Pass pass;
  int offset = 0;           // of the first sample used
  int groups = 0;           // of four samples per output
  std::vector<int> starts;  // per output, in samples from `offset`
  struct alignas(64) Pairs {
    std::array<std::int16_t, 32> lanes;
  };
  /// Four samples of four outputs in four colours: where their bytes are, counted from the first of these outputs on,
  /// and their weights in three signed parts of 8 bits.
  struct alignas(64) Quads {
    std::array<std::uint8_t, 64> at;
    std::array<std::int8_t, 64> high, middle, low;
  };
  std::vector<Pairs> pairs;
  std::vector<Quads> quads;
  void finish(bool quads_wanted);  // after `pass` was planned

 private:
  int weight(int output, int sample) const;
  bool plan_quads();
  void plan_pairs();
};

inline constexpr int kVectorOutputs = 4;  // outputs are worked on in groups of this size

/// value * scale + offset, per colour.
struct Scaling {
  std::array<float, 3> scale{}, offset{};
};

/// Pixels between the passes have four bytes, the last is not used.
struct Kernels {
  const char* name;
  bool wants_quads;
  /// row: the samples that the plan uses, and kRowSlack readable bytes. out: a multiple of kVectorOutputs pixels.
  void (*horizontal)(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out);
  /// out[i] = the sum of rows[0][i], rows[1][i], …, weighted as the pass says for its output; `bytes` is a multiple of
  /// 32.
  void (*vertical)(std::span<const std::uint8_t* const> rows, const Pass& pass, std::size_t output, std::size_t bytes,
                   std::uint8_t* out);
  /// To three planes of floats; `plane` floats from one to the next.
  void (*to_planes)(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out, std::size_t plane);
};

const Kernels& portable_kernels();
/// The quickest that this processor runs.
const Kernels& best_kernels();
/// Null where the processor or the build has none.
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();  // with VBMI and VNNI
const Kernels* neon_kernels();

}  // namespace imgrec::resample
