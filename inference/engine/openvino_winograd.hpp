// Winograd convolutions in an OpenVINO model: OpenVINO computes 3x3 convolutions directly.
#pragma once

#include <memory>
#include <string_view>

namespace ov {
class Core;
class Model;
}  // namespace ov

namespace imgrec {

/// Stands for how use_winograd() changes models, and for the processor's kernels; empty where there are none, and in a
/// build without them (IMGREC_WINOGRAD). Part of what an exported model depends on.
std::string_view winograd_identity();

/// Lets a Core import models that use_winograd() has changed.
void add_winograd(ov::Core& core);

/// Replaces the 3x3 convolutions that are quicker that way, with the normalisation, bias, sum and ReLU that follow
/// them. For models that compute in f32. Returns how many it replaced. Throws what OpenVINO throws.
int use_winograd(const std::shared_ptr<ov::Model>& model);

}  // namespace imgrec
