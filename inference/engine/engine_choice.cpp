#include "inference/engine/engine_choice.hpp"

#include <algorithm>
#include <cstdio>

namespace imgrec {
namespace {

const char* float_instructions(const ProcessorFeatures& processor) {
  if (processor.neon) return "NEON";
  return processor.avx512 ? "AVX-512" : processor.avx2 ? "AVX2" : "the processor's basic instructions";
}

// Empty where there are none.
std::string int8_instructions(const ProcessorFeatures& processor) {
  return processor.amx_int8 ? "AMX-INT8" : processor.avx512_vnni ? "AVX512-VNNI" : processor.avx_vnni ? "AVX-VNNI" : "";
}

std::string bf16_instructions(const ProcessorFeatures& processor) {
  return processor.amx_bf16 ? "AMX-BF16" : processor.avx512_bf16 ? "AVX512-BF16" : "";
}

std::string percent(double part) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g %%", part * 100);
  return text;
}

std::string_view arithmetic_of(const EngineWish& wish, Precision precision) {
  return precision == Precision::bf16 ? bf16_arithmetic(wish.processor) : int8_arithmetic(wish.processor);
}

// What was measured of a variant in this processor's arithmetic; what was measured in another says nothing here.
struct Measured {
  const Agreement* agreement = nullptr;
  std::string why_not;  // set where there is no agreement
};

Measured measured_here(const EngineWish& wish, const ModelVariant* variant) {
  if (variant == nullptr || !variant->agreement) return {.agreement = nullptr, .why_not = "was not measured"};
  const std::string_view here = arithmetic_of(wish, variant->precision);
  const std::string& there = variant->agreement->arithmetic;
  if (there == here) return {.agreement = &*variant->agreement, .why_not = {}};
  return {.agreement = nullptr,
          .why_not = "was measured in " + (there.empty() ? "an arithmetic that it does not name" : there) +
                     ", not in this processor's " + std::string(here)};
}

std::string measured_text(const Measured& measured) {
  if (measured.agreement == nullptr) return ", agreement with f32 " + measured.why_not;
  return ", " + percent(measured.agreement->top1) + " of " + std::to_string(measured.agreement->photos) +
         " answers as in f32";
}

std::string quantize_hint(const ModelManifest& manifest) {
  return "`./dev quantize " + manifest.name + " --images DIR` makes it";
}

// Why auto does not take a precision; empty when it may.
std::string against_int8(const EngineWish& wish, const ModelManifest& manifest) {
  const ModelVariant* variant = manifest.variant(Precision::int8);
  if (variant == nullptr) return "no int8 variant (" + quantize_hint(manifest) + ")";
  if (int8_instructions(wish.processor).empty()) return "no int8 instructions in this processor";
  const Measured measured = measured_here(wish, variant);
  if (measured.agreement == nullptr) return "the int8 variant's agreement with f32 " + measured.why_not;
  if (measured.agreement->top1 < wish.agreement_min) {
    return "int8 agrees with f32 in " + percent(measured.agreement->top1) + ", " + percent(wish.agreement_min) +
           " are wanted";
  }
  return "";
}

std::string against_bf16(const EngineWish& wish, const ModelManifest& manifest) {
  if (!wish.processor.amx_bf16) return "no AMX-BF16 in this processor";
  const Measured measured = measured_here(wish, manifest.variant(Precision::bf16));
  if (measured.agreement != nullptr && measured.agreement->top1 < wish.agreement_min) {
    return "bf16 agrees with f32 in " + percent(measured.agreement->top1) + ", " + percent(wish.agreement_min) +
           " are wanted";
  }
  return "";
}

EngineCandidate in_int8(const EngineWish& wish, const ModelManifest& manifest) {
  const std::string native = int8_instructions(wish.processor);
  const std::string with = native.empty() ? float_instructions(wish.processor) : native;
  return {"openvino", Precision::int8, with + measured_text(measured_here(wish, manifest.variant(Precision::int8)))};
}

EngineCandidate in_bf16(const EngineWish& wish, const ModelManifest& manifest) {
  return {"openvino", Precision::bf16,
          bf16_instructions(wish.processor) + measured_text(measured_here(wish, manifest.variant(Precision::bf16)))};
}

bool bf16_is_faster(const EngineWish& wish, const ModelManifest& manifest) {
  const ModelVariant *int8 = manifest.variant(Precision::int8), *bf16 = manifest.variant(Precision::bf16);
  return measured_here(wish, int8).agreement != nullptr && measured_here(wish, bf16).agreement != nullptr &&
         int8->time_ratio && bf16->time_ratio && *bf16->time_ratio < *int8->time_ratio;
}

std::vector<EngineCandidate> automatic_precision(const EngineWish& wish, const ModelManifest& manifest) {
  std::vector<EngineCandidate> candidates;
  const std::string no_int8 = against_int8(wish, manifest), no_bf16 = against_bf16(wish, manifest);
  if (no_int8.empty()) candidates.push_back(in_int8(wish, manifest));
  if (no_bf16.empty()) {
    candidates.push_back(in_bf16(wish, manifest));
    if (!no_int8.empty()) candidates.back().why += "; " + no_int8;
  }
  if (candidates.size() == 2 && bf16_is_faster(wish, manifest)) std::swap(candidates[0], candidates[1]);
  EngineCandidate f32{"openvino", Precision::f32, float_instructions(wish.processor)};
  if (candidates.empty()) f32.why += "; " + no_int8 + "; " + no_bf16;
  candidates.push_back(std::move(f32));
  return candidates;
}

Result<std::vector<EngineCandidate>> asked_precision(const EngineWish& wish, const ModelManifest& manifest) {
  const auto unavailable = [](std::string text) {
    return fail(ErrorKind::invalid, "precision_unavailable", std::move(text));
  };
  if (wish.precision == "int8") {
    if (manifest.variant(Precision::int8) == nullptr) {
      return unavailable("The model " + manifest.name + " has no int8 variant: " + quantize_hint(manifest) +
                         " from photos like those to classify.");
    }
    return std::vector{in_int8(wish, manifest)};
  }
  if (wish.precision == "bf16") {
    if (bf16_instructions(wish.processor).empty()) {
      return unavailable(
          "This processor does not compute in bf16 (it has neither AMX-BF16 nor AVX512-BF16): use --precision f32 or "
          "auto.");
    }
    return std::vector{in_bf16(wish, manifest)};
  }
  return std::vector{EngineCandidate{"openvino", Precision::f32, float_instructions(wish.processor)}};
}

}  // namespace

Result<std::vector<EngineCandidate>> choose_engines(const EngineWish& wish, const ModelManifest& manifest) {
  if (wish.engine == "openvino" && !wish.has_openvino) {
    return fail(ErrorKind::invalid, "engine_unavailable",
                "This build has no OpenVINO: `./dev setup` fetches it and builds again. Or use --engine opencv.");
  }
  const bool openvino = wish.engine != "opencv" && wish.has_openvino;
  const bool f32_will_do = wish.precision == "auto" || wish.precision == "f32";
  if (!openvino && !f32_will_do) {
    return fail(ErrorKind::invalid, "precision_unavailable",
                "The engine OpenCV computes in f32 only; " + wish.precision + " needs OpenVINO" +
                    (wish.has_openvino ? ": use --engine openvino or auto."
                                       : ", which this build has not: `./dev setup` fetches it and builds again."));
  }
  std::vector<EngineCandidate> candidates;
  if (openvino) {
    auto fast = wish.precision == "auto" ? automatic_precision(wish, manifest) : asked_precision(wish, manifest);
    if (!fast) return fail(fast.error());
    candidates = *std::move(fast);
  }
  if (wish.engine == "opencv" || (wish.engine == "auto" && f32_will_do)) {
    candidates.push_back({"opencv", Precision::f32,
                          wish.engine == "opencv" ? "as asked"
                          : wish.has_openvino     ? "OpenVINO cannot load this model"
                                                  : "this build has no OpenVINO"});
  }
  return candidates;
}

}  // namespace imgrec
