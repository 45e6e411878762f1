// A look into an ONNX file before an engine gets it: engines are not made for damaged files.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct OnnxFile {
  std::int64_t opset = 0;           // of the default operator domain
  std::set<std::string> operators;  // that the graph uses
  std::uint64_t parameters = 0;     // numbers in all weights
};

/// Checks the framing, that there is a graph, and that every weight has the bytes its shape asks for. Errors: invalid
/// "model_unusable", saying which.
Result<OnnxFile> inspect_onnx(ByteView bytes);

}  // namespace imgrec
