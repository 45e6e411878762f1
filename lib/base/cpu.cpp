#include "lib/base/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
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
#endif
  return found;
}

}  // namespace imgrec
