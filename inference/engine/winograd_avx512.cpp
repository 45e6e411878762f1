// The kernels for processors with AVX-512; inference/CMakeLists.txt compiles this file for these.
#include "inference/engine/winograd.hpp"

#if defined(__AVX512F__)

namespace imgrec::winograd {
namespace {
constexpr std::size_t kWidth = 16, kRows = 14;  // 28 of 32 registers hold sums
}  // namespace
}  // namespace imgrec::winograd

#include "inference/engine/winograd_kernels.hpp"

namespace imgrec::winograd {

const Kernels* avx512_kernels() {
  static constexpr Kernels kKernels{"avx512", workspace, convolve};
  return __builtin_cpu_supports("avx512f") ? &kKernels : nullptr;
}

}  // namespace imgrec::winograd

#else

namespace imgrec::winograd {

const Kernels* avx512_kernels() {
  return nullptr;
}

}  // namespace imgrec::winograd

#endif
