// In a build without Winograd convolutions (IMGREC_WINOGRAD=OFF): OpenVINO
// computes all of them.
#include "inference/engine/openvino_winograd.hpp"

namespace imgrec {

std::string_view winograd_identity() {
  return {};
}

void add_winograd(ov::Core&) {}

int use_winograd(const std::shared_ptr<ov::Model>&) {
  return 0;
}

}  // namespace imgrec
