#include "inference/engine/engine_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace imgrec::engine_choice_test {
namespace {

using testing::HasSubstr;

constexpr ProcessorFeatures kOld{.avx2 = true};
constexpr ProcessorFeatures kVnni{.avx2 = true, .avx512 = true, .avx512_vnni = true, .avx512_bf16 = true};
constexpr ProcessorFeatures kAvxVnni{.avx2 = true, .avx_vnni = true};
constexpr ProcessorFeatures kAmx{.avx2 = true,
                                 .avx512 = true,
                                 .avx_vnni = true,
                                 .avx512_vnni = true,
                                 .amx_int8 = true,
                                 .avx512_bf16 = true,
                                 .amx_bf16 = true};

// What was measured of a variant. A negative agreement: none.
struct Measured {
  double top1 = -1;
  std::optional<double> time_ratio = std::nullopt;
  const char* arithmetic = nullptr;  // AMX's, unless it is given
};

ModelManifest manifest(const std::optional<Measured>& int8, const std::optional<Measured>& bf16 = std::nullopt) {
  ModelManifest model;
  model.name = "m";
  const auto add = [&](Precision precision, const Measured& measured) {
    ModelVariant variant{.precision = precision};
    if (measured.top1 >= 0) {
      const char* amx = precision == Precision::bf16 ? "amx_bf16" : "amx_int8";
      variant.agreement = Agreement{.top1 = measured.top1,
                                    .photos = 64,
                                    .arithmetic = measured.arithmetic == nullptr ? amx : measured.arithmetic};
    }
    variant.time_ratio = measured.time_ratio;
    model.variants.push_back(variant);
  };
  if (int8) add(Precision::int8, *int8);
  if (bf16) add(Precision::bf16, *bf16);
  return model;
}

EngineWish wish(const ProcessorFeatures& processor, const std::string& engine = "auto",
                const std::string& precision = "auto") {
  return {.engine = engine, .precision = precision, .has_openvino = true, .processor = processor};
}

// "openvino int8, openvino f32, opencv f32", or the error's code.
std::string chosen(const EngineWish& wanted, const ModelManifest& model) {
  const auto candidates = choose_engines(wanted, model);
  if (!candidates) return candidates.error().code;
  std::string text;
  for (const EngineCandidate& candidate : *candidates) {
    EXPECT_FALSE(candidate.why.empty());
    text += (text.empty() ? "" : ", ") + candidate.engine + " " + std::string(to_string(candidate.precision));
  }
  return text;
}

std::string why(const EngineWish& wanted, const ModelManifest& model) {
  return choose_engines(wanted, model)->front().why;
}

struct Case {
  const char* what;
  ProcessorFeatures processor;
  ModelManifest model;
  const char* expected;
  const char* why;  // of the first
};

TEST(EngineChoice, AutoTakesTheFastestThatIsNativeAndAccurate) {
  const ModelManifest good = manifest(Measured{.top1 = 0.99}), bare = manifest(std::nullopt),
                      good_in_vnni = manifest(Measured{.top1 = 0.99, .arithmetic = "vnni"});
  const std::vector<Case> cases = {
      {"AMX, int8 as good as wanted", kAmx, good, "openvino int8, openvino bf16, openvino f32, opencv f32",
       "AMX-INT8, 99 % of 64 answers as in f32"},
      {"at the bound", kAmx, manifest(Measured{.top1 = 0.98}), "openvino int8, openvino bf16, openvino f32, opencv f32",
       "98 %"},
      {"below the bound", kAmx, manifest(Measured{.top1 = 0.979}), "openvino bf16, openvino f32, opencv f32",
       "int8 agrees with f32 in 97.9 %, 98 % are wanted"},
      {"never without a measurement", kAmx, manifest(Measured{}), "openvino bf16, openvino f32, opencv f32",
       "the int8 variant's agreement with f32 was not measured"},
      {"no variant", kAmx, bare, "openvino bf16, openvino f32, opencv f32", "./dev quantize m --images DIR"},
      {"VNNI", kVnni, good_in_vnni, "openvino int8, openvino f32, opencv f32", "AVX512-VNNI"},
      {"VNNI of a client's processor", kAvxVnni, good_in_vnni, "openvino int8, openvino f32, opencv f32", "AVX-VNNI"},
      {"bf16 without AMX is slower than f32", kVnni, bare, "openvino f32, opencv f32", "AVX-512; no int8 variant"},
      {"int8 is not native", kOld, good, "openvino f32, opencv f32", "AVX2; no int8 instructions in this processor"},
      {"nothing known of the processor", {}, good, "openvino f32, opencv f32", "no int8 instructions"},
      {"bf16 measured and bad", kAmx, manifest(std::nullopt, Measured{.top1 = 0.5}), "openvino f32, opencv f32",
       "bf16 agrees with f32 in 50 %"},
      {"bf16 measured and good", kAmx, manifest(std::nullopt, Measured{.top1 = 1}),
       "openvino bf16, openvino f32, opencv f32", "AMX-BF16, 100 % of 64 answers as in f32"},
      {"bf16 measured as the faster one", kAmx,
       manifest(Measured{.top1 = 0.99, .time_ratio = 0.6}, Measured{.top1 = 0.99, .time_ratio = 0.4}),
       "openvino bf16, openvino int8, openvino f32, opencv f32", "AMX-BF16"},
      {"int8 measured as the faster one", kAmx,
       manifest(Measured{.top1 = 0.99, .time_ratio = 0.1}, Measured{.top1 = 0.99, .time_ratio = 0.2}),
       "openvino int8, openvino bf16, openvino f32, opencv f32", "AMX-INT8"},
      {"faster elsewhere, not native here", kVnni,
       manifest(Measured{.top1 = 0.99, .time_ratio = 0.6, .arithmetic = "vnni"},
                Measured{.top1 = 0.99, .time_ratio = 0.4}),
       "openvino int8, openvino f32, opencv f32", "AVX512-VNNI"},
      {"int8 measured on AMX says nothing of VNNI", kVnni, good, "openvino f32, opencv f32",
       "the int8 variant's agreement with f32 was measured in amx_int8, not in this processor's vnni"},
      {"nor the other way round", kAmx, good_in_vnni, "openvino bf16, openvino f32, opencv f32",
       "was measured in vnni, not in this processor's amx_int8"},
      {"int8 measured where sums saturate", kVnni, manifest(Measured{.top1 = 1, .arithmetic = "saturating"}),
       "openvino f32, opencv f32", "was measured in saturating, not in this processor's vnni"},
      {"measured before the arithmetic was recorded", kAmx, manifest(Measured{.top1 = 1, .arithmetic = ""}),
       "openvino bf16, openvino f32, opencv f32", "was measured in an arithmetic that it does not name"},
      {"bf16 measured elsewhere, and bad", kAmx,
       manifest(std::nullopt, Measured{.top1 = 0.5, .arithmetic = "avx512_bf16"}),
       "openvino bf16, openvino f32, opencv f32", "agreement with f32 was measured in avx512_bf16"},
      {"times measured in another arithmetic are not compared", kAmx,
       manifest(Measured{.top1 = 0.99, .time_ratio = 0.6},
                Measured{.top1 = 0.99, .time_ratio = 0.4, .arithmetic = "avx512_bf16"}),
       "openvino int8, openvino bf16, openvino f32, opencv f32", "AMX-INT8"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(chosen(wish(c.processor), c.model), c.expected) << c.what;
    EXPECT_THAT(why(wish(c.processor), c.model), HasSubstr(c.why)) << c.what;
  }
}

TEST(EngineChoice, TheBoundIsTheUsers) {
  EngineWish strict = wish(kAmx);
  strict.agreement_min = 0.995;
  EXPECT_EQ(chosen(strict, manifest(Measured{.top1 = 0.99})), "openvino bf16, openvino f32, opencv f32");
  strict.agreement_min = 0;
  EXPECT_EQ(chosen(strict, manifest(Measured{.top1 = 0})), "openvino int8, openvino bf16, openvino f32, opencv f32");
  EXPECT_EQ(chosen(strict, manifest(Measured{})), "openvino bf16, openvino f32, opencv f32") << "still not measured";
}

TEST(EngineChoice, WhatIsAskedForIsTakenOrAnError) {
  const ModelManifest good = manifest(Measured{.top1 = 0.99}), poor = manifest(Measured{.top1 = 0.5}),
                      bare = manifest(std::nullopt);
  EXPECT_EQ(chosen(wish(kAmx, "auto", "f32"), good), "openvino f32, opencv f32");
  EXPECT_EQ(chosen(wish(kAmx, "openvino", "f32"), good), "openvino f32");
  EXPECT_EQ(chosen(wish(kAmx, "openvino"), good), "openvino int8, openvino bf16, openvino f32");
  EXPECT_EQ(chosen(wish(kAmx, "opencv"), good), "opencv f32");
  EXPECT_EQ(chosen(wish(kAmx, "auto", "int8"), poor), "openvino int8") << "the bound is for auto";
  EXPECT_THAT(why(wish(kAmx, "auto", "int8"), poor), HasSubstr("50 %"));
  EXPECT_EQ(chosen(wish(kOld, "auto", "int8"), good), "openvino int8") << "slower, but it can be had";
  EXPECT_EQ(chosen(wish(kAmx, "auto", "bf16"), bare), "openvino bf16");
  EXPECT_EQ(chosen(wish(kVnni, "auto", "bf16"), bare), "openvino bf16");
  EXPECT_EQ(chosen(wish(kOld, "auto", "bf16"), bare), "precision_unavailable");
  EXPECT_EQ(chosen(wish(kAmx, "auto", "int8"), bare), "precision_unavailable");
  EXPECT_THAT(choose_engines(wish(kAmx, "auto", "int8"), bare).error().message,
              HasSubstr("`./dev quantize m --images DIR`"));
  EXPECT_EQ(chosen(wish(kAmx, "opencv", "int8"), good), "precision_unavailable");
  EXPECT_THAT(choose_engines(wish(kAmx, "opencv", "bf16"), good).error().message, HasSubstr("--engine openvino"));
}

TEST(EngineChoice, ABuildWithoutOpenvino) {
  const ModelManifest good = manifest(Measured{.top1 = 0.99});
  for (const auto& [engine, precision, expected] : {std::tuple{"auto", "auto", "opencv f32"},
                                                    {"auto", "f32", "opencv f32"},
                                                    {"opencv", "auto", "opencv f32"},
                                                    {"openvino", "auto", "engine_unavailable"},
                                                    {"auto", "int8", "precision_unavailable"},
                                                    {"auto", "bf16", "precision_unavailable"}}) {
    EngineWish wanted = wish(kAmx, engine, precision);
    wanted.has_openvino = false;
    EXPECT_EQ(chosen(wanted, good), expected) << engine << " " << precision;
  }
  EngineWish wanted = wish(kAmx);
  wanted.has_openvino = false;
  EXPECT_EQ(why(wanted, good), "this build has no OpenVINO");
}

}  // namespace
}  // namespace imgrec::engine_choice_test
