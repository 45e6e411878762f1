// The kernels for processors with AVX-512, VBMI (any 64 bytes out of 64) and VNNI (multiply pairs and add).
#include "inference/preprocess/resample.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#define IMGREC_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")))

namespace imgrec::resample {
namespace {

IMGREC_AVX512 inline __m512i rounded(__m512i high, __m512i low) {
  const __m512i half = _mm512_set1_epi32(1 << (kFractionBits - 1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, kLowBits), low), half);
  return _mm512_srai_epi32(sum, kFractionBits);
}

IMGREC_AVX512 inline __m512i load(const void* at) {
  return _mm512_loadu_si512(at);
}
IMGREC_AVX512 inline __m512i widened(const std::uint8_t* at) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// The sums of four outputs in four colours, not yet cut to bytes.
IMGREC_AVX512 inline __m512i four_outputs(const std::uint8_t* row, int start, const HorizontalPlan::Quads*& quad,
                                          int groups) {
  const __m512i pixels = load(row + 3 * static_cast<std::ptrdiff_t>(start));  // all samples that they are made of
  __m512i high = _mm512_setzero_si512(), middle = high, low = _mm512_set1_epi32(1 << (kFractionBits - 1));
  for (int group = 0; group < groups; ++group, ++quad) {
    const __m512i samples = _mm512_permutexvar_epi8(load(quad->at.data()), pixels);
    high = _mm512_dpbusd_epi32(high, samples, load(quad->high.data()));
    middle = _mm512_dpbusd_epi32(middle, samples, load(quad->middle.data()));
    low = _mm512_dpbusd_epi32(low, samples, load(quad->low.data()));
  }
  const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), middle), 8), low);
  return _mm512_srai_epi32(sum, kFractionBits);
}

IMGREC_AVX512 void horizontal(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out) {
  if (plan.quads.empty()) return avx2_kernels()->horizontal(row, plan, out);
  const HorizontalPlan::Quads* quad = plan.quads.data();
  const int* start = plan.starts.data();
  const int* const end = start + plan.starts.size();
  const int groups = plan.groups;
  // Packing works on quarters of registers, and mixes them.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (; end - start >= 4 * kVectorOutputs; start += 4 * kVectorOutputs, out += 64) {
    const __m512i a = four_outputs(row, start[0], quad, groups), b = four_outputs(row, start[4], quad, groups);
    const __m512i c = four_outputs(row, start[8], quad, groups), d = four_outputs(row, start[12], quad, groups);
    const __m512i bytes = _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d));
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, bytes));
  }
  for (; start != end; start += kVectorOutputs, out += 16) {
    const __m512i sums = four_outputs(row, start[0], quad, groups);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtusepi32_epi8(sums));
  }
}

IMGREC_AVX512 void vertical(std::span<const std::uint8_t* const> rows, const Pass& pass, std::size_t output,
                            std::size_t bytes, std::uint8_t* out) {
  const WeightPair* const pairs = pass.pairs.data() + pass.pairs_at[output];
  for (std::size_t at = 0; at < bytes; at += 32) {
    __m512i high_a = _mm512_setzero_si512(), low_a = high_a, high_b = high_a, low_b = high_a;
    for (std::size_t i = 0; i < rows.size(); i += 2) {
      // Without a second row its weight is 0.
      const __m512i one = widened(rows[i] + at), two = widened(rows[i + 1 < rows.size() ? i + 1 : i] + at);
      const __m512i high = _mm512_set1_epi32(pairs[i / 2].high), low = _mm512_set1_epi32(pairs[i / 2].low);
      const __m512i a = _mm512_unpacklo_epi16(one, two), b = _mm512_unpackhi_epi16(one, two);
      high_a = _mm512_dpwssd_epi32(high_a, a, high);
      low_a = _mm512_dpwssd_epi32(low_a, a, low);
      high_b = _mm512_dpwssd_epi32(high_b, b, high);
      low_b = _mm512_dpwssd_epi32(low_b, b, low);
    }
    const __m512i words = _mm512_packus_epi32(rounded(high_a, low_a), rounded(high_b, low_b));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at), _mm512_cvtusepi16_epi8(words));
  }
}

IMGREC_AVX512 void to_planes(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out,
                             std::size_t plane) {
  const __m512i byte = _mm512_set1_epi32(0xFF);
  int i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512i rgbx = load(pixels + 4 * i);
    const __m512i colours[3] = {_mm512_and_si512(rgbx, byte), _mm512_and_si512(_mm512_srli_epi32(rgbx, 8), byte),
                                _mm512_and_si512(_mm512_srli_epi32(rgbx, 16), byte)};
    for (std::size_t c = 0; c < 3; ++c) {
      // Rounded after each step, as everywhere: a fused operation would be off by a unit in the last place.
      const __m512 scaled = _mm512_mul_round_ps(_mm512_cvtepi32_ps(colours[c]), _mm512_set1_ps(scaling.scale[c]),
                                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm512_storeu_ps(out + c * plane + i, _mm512_add_ps(scaled, _mm512_set1_ps(scaling.offset[c])));
    }
  }
  if (i < count) portable_kernels().to_planes(pixels + 4 * i, count - i, scaling, out + i, plane);
}

}  // namespace

const Kernels* avx512_kernels() {
  static constexpr Kernels kKernels{"avx512", true, horizontal, vertical, to_planes};
  const bool there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
                     __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2");
  return there ? &kKernels : nullptr;
}

}  // namespace imgrec::resample

#else

namespace imgrec::resample {

const Kernels* avx512_kernels() {
  return nullptr;
}

}  // namespace imgrec::resample

#endif
