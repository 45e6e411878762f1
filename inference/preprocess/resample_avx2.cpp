// The kernels for processors with AVX2.
#include "inference/preprocess/resample.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#define IMGREC_AVX2 __attribute__((target("avx2")))

namespace imgrec::resample {
namespace {

IMGREC_AVX2 inline __m256i rounded(__m256i high, __m256i low) {
  const __m256i half = _mm256_set1_epi32(1 << (kFractionBits - 1));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low), half);
  return _mm256_srai_epi32(sum, kFractionBits);
}

IMGREC_AVX2 inline __m128i load(const std::uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
IMGREC_AVX2 inline __m256i load(const std::int16_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
IMGREC_AVX2 inline __m256i load_two(const std::uint8_t* low, const std::uint8_t* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load(low)), load(high), 1);
}
IMGREC_AVX2 inline void add(__m256i& sum, __m256i samples, const std::int16_t* weights) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(samples, load(weights)));
}

// Four outputs at a time: 0 and 1 in one register, 2 and 3 in another, a 32-bit sum per colour.
IMGREC_AVX2 void horizontal(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out) {
  if (plan.pairs.empty()) return portable_kernels().horizontal(row, plan, out);
  // R0 R1 G0 G1 B0 B1 of two neighbouring pixels, as 16-bit numbers.
  const __m256i first_two = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                             0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  const __m256i last_two = _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,  //
                                            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const std::int16_t* weights = plan.pairs.front().lanes.data();
  const int* starts = plan.starts.data();
  const int* const end = starts + plan.starts.size();
  for (; starts != end; starts += kVectorOutputs, out += 4 * kVectorOutputs) {
    const std::uint8_t* at[kVectorOutputs];
    for (int i = 0; i < kVectorOutputs; ++i) at[i] = row + 3 * static_cast<std::ptrdiff_t>(starts[i]);
    __m256i high01 = _mm256_setzero_si256(), low01 = high01, high23 = high01, low23 = high01;
    for (int group = 0; group < plan.groups; ++group, weights += 8 * 16) {
      const std::ptrdiff_t bytes = 12 * static_cast<std::ptrdiff_t>(group);
      const __m256i pixels01 = load_two(at[0] + bytes, at[1] + bytes);
      const __m256i pixels23 = load_two(at[2] + bytes, at[3] + bytes);
      const __m256i first01 = _mm256_shuffle_epi8(pixels01, first_two);
      const __m256i first23 = _mm256_shuffle_epi8(pixels23, first_two);
      add(high01, first01, weights);
      add(high23, first23, weights + 16);
      add(low01, first01, weights + 32);
      add(low23, first23, weights + 48);
      const __m256i last01 = _mm256_shuffle_epi8(pixels01, last_two);
      const __m256i last23 = _mm256_shuffle_epi8(pixels23, last_two);
      add(high01, last01, weights + 64);
      add(high23, last23, weights + 80);
      add(low01, last01, weights + 96);
      add(low23, last23, weights + 112);
    }
    // Packing works on halves of registers: 0 2 1 3.
    const __m256i words = _mm256_packus_epi32(rounded(high01, low01), rounded(high23, low23));
    const __m256i packed = _mm256_packus_epi16(words, words);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    const __m256i bytes = _mm256_permutevar8x32_epi32(packed, order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
  }
}

IMGREC_AVX2 void vertical(std::span<const std::uint8_t* const> rows, const Pass& pass, std::size_t output,
                          std::size_t bytes, std::uint8_t* out) {
  const WeightPair* const pairs = pass.pairs.data() + pass.pairs_at[output];
  for (std::size_t at = 0; at < bytes; at += 16) {
    __m256i high_a = _mm256_setzero_si256(), low_a = high_a, high_b = high_a, low_b = high_a;
    for (std::size_t i = 0; i < rows.size(); i += 2) {
      // Without a second row its weight is 0.
      const __m256i one = _mm256_cvtepu8_epi16(load(rows[i] + at));
      const __m256i two = _mm256_cvtepu8_epi16(load(rows[i + 1 < rows.size() ? i + 1 : i] + at));
      const __m256i high = _mm256_set1_epi32(pairs[i / 2].high), low = _mm256_set1_epi32(pairs[i / 2].low);
      const __m256i a = _mm256_unpacklo_epi16(one, two), b = _mm256_unpackhi_epi16(one, two);
      high_a = _mm256_add_epi32(high_a, _mm256_madd_epi16(a, high));
      low_a = _mm256_add_epi32(low_a, _mm256_madd_epi16(a, low));
      high_b = _mm256_add_epi32(high_b, _mm256_madd_epi16(b, high));
      low_b = _mm256_add_epi32(low_b, _mm256_madd_epi16(b, low));
    }
    const __m256i words = _mm256_packus_epi32(rounded(high_a, low_a), rounded(high_b, low_b));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at), _mm256_castsi256_si128(packed));
  }
}

IMGREC_AVX2 void to_planes(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out,
                           std::size_t plane) {
  const __m256i byte = _mm256_set1_epi32(0xFF);
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i rgbx = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixels + 4 * i));
    const __m256i colours[3] = {_mm256_and_si256(rgbx, byte), _mm256_and_si256(_mm256_srli_epi32(rgbx, 8), byte),
                                _mm256_and_si256(_mm256_srli_epi32(rgbx, 16), byte)};
    for (std::size_t c = 0; c < 3; ++c) {
      const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(colours[c]), _mm256_set1_ps(scaling.scale[c]));
      _mm256_storeu_ps(out + c * plane + i, _mm256_add_ps(scaled, _mm256_set1_ps(scaling.offset[c])));
    }
  }
  if (i < count) portable_kernels().to_planes(pixels + 4 * i, count - i, scaling, out + i, plane);
}

}  // namespace

const Kernels* avx2_kernels() {
  static constexpr Kernels kKernels{"avx2", false, horizontal, vertical, to_planes};
  return __builtin_cpu_supports("avx2") ? &kKernels : nullptr;
}

}  // namespace imgrec::resample

#else

namespace imgrec::resample {

const Kernels* avx2_kernels() {
  return nullptr;
}

}  // namespace imgrec::resample

#endif
