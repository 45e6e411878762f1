// OpenVINO: the fast engine. Which processors and precisions it is chosen for: engine_choice.hpp.
#pragma once

#include <memory>
#include <string>

#include "inference/engine/engine.hpp"
#include "inference/models/model_manifest.hpp"
#include "lib/base/mapped_file.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// A model's bytes, which have to stay while it is in use. weights is empty but for an OpenVINO IR.
struct ModelBytes {
  MappedFile graph{}, weights{};
  /// Gives the memory back that is not in use: what is looked at again comes from the files.
  void drop_pages() const {
    graph.drop_pages();
    weights.drop_pages();
  }
};

struct OpenvinoOptions {
  Precision precision = Precision::f32;  // int8: what the graph says, and f32 between its quantised parts
  NetworkOptions network{};
  int threads = 1;       // engines that run at the same time
  bool winograd = true;  // 3x3 convolutions of our own in f32, where build and processor have them
};

/// A network compiled for this processor. Its engines share the weights. Thread-safe.
class OpenvinoModel {
 public:
  virtual ~OpenvinoModel() = default;

  /// An engine for one thread. With one thread it computes in the thread that calls run(), else in one of as many
  /// threads as were asked for; further engines wait for one of these.
  virtual Result<std::unique_ptr<Engine>> make_engine() = 0;

  /// What import_openvino() takes: the same network, compiled half way.
  virtual Result<std::string> exported() = 0;
};

/// False for a build without OpenVINO: the functions below then fail with invalid "engine_unavailable".
bool has_openvino();

/// What an exported network depends on: the library's version and the instructions that it uses here.
std::string openvino_identity();

/// An ONNX file or an IR. Errors: invalid "model_unusable" with the reason; transient "out_of_memory".
Result<std::shared_ptr<OpenvinoModel>> compile_openvino(std::shared_ptr<const ModelBytes> bytes,
                                                        const OpenvinoOptions& options);

/// What exported() gave, beginning at an offset of the file, with the same options (but for threads) and identity.
Result<std::shared_ptr<OpenvinoModel>> import_openvino(std::shared_ptr<const MappedFile> file, std::size_t offset,
                                                       const OpenvinoOptions& options);

}  // namespace imgrec
