// An engine over a model file, by name: for tests that compare engines.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "inference/engine/engine.hpp"

namespace imgrec::test {

/// name: opencv, openvino-f32, openvino-bf16 (model: an ONNX file) or openvino-int8 (model: the .xml of an IR, its .bin
/// beside it).
Result<std::unique_ptr<Engine>> named_engine(const std::string& name, const std::filesystem::path& model,
                                             InputSize size, bool any_size);

/// False for bf16 on a processor, and for OpenVINO in a build, without it.
bool can_run(const std::string& name);

}  // namespace imgrec::test
