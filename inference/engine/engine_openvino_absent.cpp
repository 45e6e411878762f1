// In a build without OpenVINO.
#include "inference/engine/engine_openvino.hpp"

namespace imgrec {
namespace {

std::unexpected<Error> absent() {
  return fail(ErrorKind::invalid, "engine_unavailable",
              "This build has no OpenVINO: `./dev setup` fetches it and builds again. Or use --engine opencv.");
}

}  // namespace

bool has_openvino() {
  return false;
}

std::string openvino_identity() {
  return {};
}

Result<std::shared_ptr<OpenvinoModel>> compile_openvino(std::shared_ptr<const ModelBytes>, const OpenvinoOptions&) {
  return absent();
}

Result<std::shared_ptr<OpenvinoModel>> import_openvino(std::shared_ptr<const MappedFile>, std::size_t,
                                                       const OpenvinoOptions&) {
  return absent();
}

}  // namespace imgrec
