// A look into an ONNX file before an engine gets it: engines are not made for damaged files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// An input or output of the graph.
struct OnnxPort {
  std::string name;
  int type = 0;  // TensorProto.DataType: 1 float32, 2 uint8 …
  bool has_shape = false;
  std::vector<std::int64_t> shape;  // -1: any length
};

struct OnnxFile {
  std::int64_t opset = 0;           // of the default operator domain
  std::set<std::string> operators;  // that the graph uses
  std::uint64_t parameters = 0;     // numbers in all weights
  std::vector<OnnxPort> inputs;     // without weights
  std::vector<OnnxPort> outputs;

  /// The operator whose result an output is, beyond those that only change its shape; empty when there is none.
  std::string producer(const std::string& output) const;

  struct Node {
    std::string operation, input;  // the first one
  };
  std::map<std::string, Node, std::less<>> nodes;  // by their first output
};

/// What is no ONNX file is named as what it is: a pointer of Git LFS, an archive of PyTorch … Checks the framing, that
/// there is a graph, and that every weight has the bytes its shape asks for. Errors: invalid "model_unusable", saying
/// which.
Result<OnnxFile> inspect_onnx(ByteView bytes);

}  // namespace imgrec
