// The kernels for arm64, whose processors all have NEON. Its products of 32-bit numbers are as quick as those of pairs
// of 16-bit ones: the weights are used whole.
#include "inference/preprocess/resample.hpp"

#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstring>

namespace imgrec::resample {
namespace {

constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

// Four sums as 16-bit numbers of 0 or more.
inline uint16x4_t rounded(int32x4_t sum) {
  return vqmovun_s32(vshrq_n_s32(sum, kFractionBits));
}

// The sample number Sample of those that begin at the register's first byte: R, G, B and a zero, as 32-bit numbers.
template <std::uint8_t Sample>
inline int32x4_t sample(uint8x16_t bytes) {
  constexpr std::uint8_t kNone = 255, kRed = 3 * Sample, kGreen = kRed + 1, kBlue = kRed + 2;
  const uint8x16_t at = {kRed,  kNone, kNone, kNone, kGreen, kNone, kNone, kNone,
                         kBlue, kNone, kNone, kNone, kNone,  kNone, kNone, kNone};
  return vreinterpretq_s32_u8(vqtbl1q_u8(bytes, at));
}

void horizontal(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out) {
  for (const Window& window : plan.pass.windows) {
    const std::uint8_t* pixels = row + 3 * static_cast<std::ptrdiff_t>(window.first - plan.offset);
    const std::int32_t* weights = plan.pass.weights.data() + window.weights_at;
    int32x4_t sum = vdupq_n_s32(kHalf);
    int left = window.count;
    for (; left >= 4; left -= 4, pixels += 12, weights += 4) {
      const uint8x16_t bytes = vld1q_u8(pixels);
      const int32x4_t four = vld1q_s32(weights);
      sum = vmlaq_laneq_s32(sum, sample<0>(bytes), four, 0);
      sum = vmlaq_laneq_s32(sum, sample<1>(bytes), four, 1);
      sum = vmlaq_laneq_s32(sum, sample<2>(bytes), four, 2);
      sum = vmlaq_laneq_s32(sum, sample<3>(bytes), four, 3);
    }
    if (left > 0) {
      const uint8x16_t bytes = vld1q_u8(pixels);
      sum = vmlaq_n_s32(sum, sample<0>(bytes), weights[0]);
      if (left > 1) sum = vmlaq_n_s32(sum, sample<1>(bytes), weights[1]);
      if (left > 2) sum = vmlaq_n_s32(sum, sample<2>(bytes), weights[2]);
    }
    const uint16x4_t words = rounded(sum);
    const std::uint32_t pixel = vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words))), 0);
    std::memcpy(out, &pixel, sizeof pixel);
    out += sizeof pixel;
  }
}

void vertical(std::span<const std::uint8_t* const> rows, const Pass& pass, std::size_t output, std::size_t bytes,
              std::uint8_t* out) {
  const std::int32_t* const weights = pass.weights.data() + pass.windows[output].weights_at;
  for (std::size_t at = 0; at < bytes; at += 16) {
    int32x4_t a = vdupq_n_s32(kHalf), b = a, c = a, d = a;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const uint8x16_t samples = vld1q_u8(rows[i] + at);
      const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(samples)));
      const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(samples));
      a = vmlaq_n_s32(a, vmovl_s16(vget_low_s16(low)), weights[i]);
      b = vmlaq_n_s32(b, vmovl_high_s16(low), weights[i]);
      c = vmlaq_n_s32(c, vmovl_s16(vget_low_s16(high)), weights[i]);
      d = vmlaq_n_s32(d, vmovl_high_s16(high), weights[i]);
    }
    const uint8x8_t first = vqmovn_u16(vcombine_u16(rounded(a), rounded(b)));
    const uint8x8_t last = vqmovn_u16(vcombine_u16(rounded(c), rounded(d)));
    vst1q_u8(out + at, vcombine_u8(first, last));
  }
}

void to_planes(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out, std::size_t plane) {
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    const uint8x8x4_t colours = vld4_u8(pixels + 4 * i);
    for (std::size_t c = 0; c < 3; ++c) {
      const float32x4_t scale = vdupq_n_f32(scaling.scale[c]), offset = vdupq_n_f32(scaling.offset[c]);
      const uint16x8_t words = vmovl_u8(colours.val[c]);
      const float32x4_t first = vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)));
      const float32x4_t last = vcvtq_f32_u32(vmovl_high_u16(words));
      float* const to = out + c * plane + i;
      vst1q_f32(to, vaddq_f32(vmulq_f32(first, scale), offset));
      vst1q_f32(to + 4, vaddq_f32(vmulq_f32(last, scale), offset));
    }
  }
  if (i < count) portable_kernels().to_planes(pixels + 4 * i, count - i, scaling, out + i, plane);
}

}  // namespace

const Kernels* neon_kernels() {
  static constexpr Kernels kKernels{"neon", false, horizontal, vertical, to_planes};
  return &kKernels;
}

}  // namespace imgrec::resample

#else

namespace imgrec::resample {

const Kernels* neon_kernels() {
  return nullptr;
}

}  // namespace imgrec::resample

#endif
