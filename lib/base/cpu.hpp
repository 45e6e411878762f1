// How many processors this process may use, and what they can do.
#pragma once

#include <string_view>

namespace imgrec {

/// The number of processors of the affinity mask, bounded by the cgroup's quota (v2 cpu.max or v1 cfs); at least 1.
int usable_cores();

/// Instructions that make a network fast, where processor and system have them; `neon` on arm64, the others on x86-64.
struct ProcessorFeatures {
  bool neon = false;
  bool avx2 = false, avx512 = false;
  bool avx_vnni = false, avx512_vnni = false, amx_int8 = false;  // products of 8-bit integers
  bool avx512_bf16 = false, amx_bf16 = false;
};

/// What the inference engine may use: the processor's instructions, limited by the environment's ONEDNN_MAX_CPU_ISA as
/// the engine limits itself (so that both always agree on what is there).
ProcessorFeatures processor_features();

/// `has` without what lies above a level of oneDNN's, such as "AVX2" or "AVX512_CORE_VNNI". An unknown or empty level
/// limits nothing, as in oneDNN.
ProcessorFeatures limited_to(ProcessorFeatures has, std::string_view level);

/// The kind of arithmetic in which int8 networks are computed. Answers measured in one kind say nothing of another:
///   "amx_int8"    sums in 32 bits; what is not int8 in bf16
///   "vnni"        sums in 32 bits; what is not int8 in f32
///   "neon"        on arm64, whichever instructions the engine finds there
///   "saturating"  products are added in 16 bits and saturate, so that some networks answer differently
std::string_view int8_arithmetic(const ProcessorFeatures& has);

/// The same for bf16: "amx_bf16", "avx512_bf16", or "none".
std::string_view bf16_arithmetic(const ProcessorFeatures& has);

}  // namespace imgrec
