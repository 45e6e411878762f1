// Which engine runs a model, in which precision: a pure function of what was asked for, what the processor can do and
// what was measured of the model.
#pragma once

#include <string>
#include <vector>

#include "inference/models/model_manifest.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct EngineWish {
  std::string engine = "auto";     // auto, openvino, opencv
  std::string precision = "auto";  // auto, f32, bf16, int8
  double agreement_min = 0.98;     // for what auto takes
  bool has_openvino = false;       // this build, or not
  ProcessorFeatures processor{};
};

struct EngineCandidate {
  std::string engine;  // "openvino", "opencv"
  Precision precision = Precision::f32;
  std::string why;  // a few words for a person: instructions, agreement, or why it is nothing faster
};

/// Best first: the next one is for the case that an engine cannot load the model. Auto takes int8 only where the
/// processor has products of 8-bit integers (AMX, VNNI) and the variant's measured agreement is agreement_min or more;
/// bf16 only on AMX (without it, it is slower than f32: 31 ms against 21 ms of a ResNet-18 on one core with
/// AVX512-BF16) and where no measured agreement is below agreement_min; of the two the one with the lower time_ratio,
/// int8 where that was not measured. Figures that were measured in another arithmetic than this processor's count as
/// not measured, and `why` says so. Errors: invalid "engine_unavailable", invalid "precision_unavailable", which say
/// how to get it.
Result<std::vector<EngineCandidate>> choose_engines(const EngineWish& wish, const ModelManifest& manifest);

}  // namespace imgrec
