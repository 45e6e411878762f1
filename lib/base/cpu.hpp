// How many processors this process may use, and what they can do.
#pragma once

namespace imgrec {

/// The number of processors of the affinity mask, bounded by the cgroup's quota (v2 cpu.max or v1 cfs); at least 1.
int usable_cores();

/// Instructions that make a network fast, where processor and system have them; all false but on x86-64.
struct ProcessorFeatures {
  bool avx2 = false, avx512 = false;
  bool avx_vnni = false, avx512_vnni = false, amx_int8 = false;  // products of 8-bit integers
  bool avx512_bf16 = false, amx_bf16 = false;
};
ProcessorFeatures processor_features();

}  // namespace imgrec
