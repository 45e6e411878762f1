// The kernels for processors with AVX2 and FMA; inference/CMakeLists.txt compiles this file for these.
#include "inference/engine/winograd.hpp"

#if defined(__AVX2__)

namespace imgrec::winograd {
namespace {
constexpr std::size_t kWidth = 8, kRows = 6;  // 12 of 16 registers hold sums
}  // namespace
}  // namespace imgrec::winograd

#include "inference/engine/winograd_kernels.hpp"

namespace imgrec::winograd {

const Kernels* avx2_kernels() {
  static constexpr Kernels kKernels{"avx2", workspace, convolve};
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kKernels : nullptr;
}

}  // namespace imgrec::winograd

#else

namespace imgrec::winograd {

const Kernels* avx2_kernels() {
  return nullptr;
}

}  // namespace imgrec::winograd

#endif
