#include "lib/base/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace imgrec {
namespace {

// Quota in processors, or 0 where there is none.
double cgroup_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::stod(quota) / period;
  }
  double quota_us = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 0;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (const double quota = cgroup_quota(); quota > 0) cores = std::min(cores, static_cast<int>(std::ceil(quota)));
  return std::max(1, cores);
}

ProcessorFeatures processor_features() {
  ProcessorFeatures found;
#ifdef __x86_64__
  found.avx2 = __builtin_cpu_supports("avx2") != 0;
  found.avx512 = __builtin_cpu_supports("avx512bw") != 0;
  found.avx_vnni = __builtin_cpu_supports("avxvnni") != 0;
  found.avx512_vnni = __builtin_cpu_supports("avx512vnni") != 0;
  found.amx_int8 = __builtin_cpu_supports("amx-int8") != 0;
  found.avx512_bf16 = __builtin_cpu_supports("avx512bf16") != 0;
  found.amx_bf16 = __builtin_cpu_supports("amx-bf16") != 0;
#elif defined(__aarch64__)
  found.neon = true;  // every arm64 processor has it
#endif
  const char* level = std::getenv("ONEDNN_MAX_CPU_ISA");
  return level == nullptr ? found : limited_to(found, level);
}

// The levels: https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
ProcessorFeatures limited_to(ProcessorFeatures has, std::string_view level) {
  constexpr std::array<std::string_view, 10> kLevels = {"SSE41",
                                                        "AVX",
                                                        "AVX2",
                                                        "AVX2_VNNI",
                                                        "AVX2_VNNI_2",
                                                        "AVX512_CORE",
                                                        "AVX512_CORE_VNNI",
                                                        "AVX512_CORE_BF16",
                                                        "AVX512_CORE_FP16",
                                                        "AVX512_CORE_AMX"};
  const auto rank_of = [&](std::string_view name) { return std::ranges::find(kLevels, name) - kLevels.begin(); };
  const auto rank = rank_of(level);
  const auto allows = [&](std::string_view name) { return rank >= rank_of(name); };
  has.avx2 = has.avx2 && allows("AVX2");
  // The first AVX-512 has no VNNI of either kind.
  has.avx_vnni = has.avx_vnni && allows("AVX2_VNNI") && level != "AVX512_CORE";
  has.avx512 = has.avx512 && allows("AVX512_CORE");
  has.avx512_vnni = has.avx512_vnni && allows("AVX512_CORE_VNNI");
  has.avx512_bf16 = has.avx512_bf16 && allows("AVX512_CORE_BF16");
  has.amx_int8 = has.amx_int8 && allows("AVX512_CORE_AMX");
  has.amx_bf16 = has.amx_bf16 && allows("AVX512_CORE_AMX");
  return has;
}

std::string_view int8_arithmetic(const ProcessorFeatures& has) {
  if (has.neon) return "neon";
  if (has.amx_int8) return "amx_int8";
  return has.avx512_vnni || has.avx_vnni ? "vnni" : "saturating";
}

std::string_view bf16_arithmetic(const ProcessorFeatures& has) {
  return has.amx_bf16 ? "amx_bf16" : has.avx512_bf16 ? "avx512_bf16" : "none";
}

}  // namespace imgrec
