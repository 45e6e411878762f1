#include "lib/base/cpu.hpp"

#include <gtest/gtest.h>

namespace imgrec::cpu_test {
namespace {

constexpr ProcessorFeatures kAll{.avx2 = true,
                                 .avx512 = true,
                                 .avx_vnni = true,
                                 .avx512_vnni = true,
                                 .amx_int8 = true,
                                 .avx512_bf16 = true,
                                 .amx_bf16 = true};

TEST(Cpu, TheArithmeticIsThatOfTheBestInstructionsLeftByTheLimit) {
  struct Case {
    const char *level, *int8, *bf16;
    bool avx2, avx512;
  };
  for (const Case& c : {Case{"", "amx_int8", "amx_bf16", true, true},
                        {"DEFAULT", "amx_int8", "amx_bf16", true, true},
                        {"no such level", "amx_int8", "amx_bf16", true, true},
                        {"AVX10_1_512_AMX", "amx_int8", "amx_bf16", true, true},
                        {"AVX512_CORE_AMX", "amx_int8", "amx_bf16", true, true},
                        {"AVX512_CORE_BF16", "vnni", "avx512_bf16", true, true},
                        {"AVX512_CORE_VNNI", "vnni", "none", true, true},
                        {"AVX512_CORE", "saturating", "none", true, true},
                        {"AVX2_VNNI", "vnni", "none", true, false},
                        {"AVX2", "saturating", "none", true, false},
                        {"SSE41", "saturating", "none", false, false}}) {
    const ProcessorFeatures left = limited_to(kAll, c.level);
    EXPECT_EQ(int8_arithmetic(left), c.int8) << c.level;
    EXPECT_EQ(bf16_arithmetic(left), c.bf16) << c.level;
    EXPECT_EQ(left.avx2, c.avx2) << c.level;
    EXPECT_EQ(left.avx512, c.avx512) << c.level;
  }
}

TEST(Cpu, Arm64HasAnArithmeticOfItsOwn) {
  const ProcessorFeatures graviton = limited_to({.neon = true}, "AVX2");
  EXPECT_EQ(int8_arithmetic(graviton), "neon") << "what was measured on x86-64 says nothing here";
  EXPECT_EQ(bf16_arithmetic(graviton), "none");
}

TEST(Cpu, ALimitAddsNothing) {
  const ProcessorFeatures zen3 = limited_to({.avx2 = true}, "AVX512_CORE_AMX");
  EXPECT_TRUE(zen3.avx2);
  EXPECT_FALSE(zen3.avx512 || zen3.amx_int8);
  EXPECT_EQ(int8_arithmetic(zen3), "saturating");
}

}  // namespace
}  // namespace imgrec::cpu_test
