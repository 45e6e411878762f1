// A network that can be run, whatever library runs it.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "inference/engine/declaration.hpp"
#include "inference/preprocess/input_size.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// One thread at a time; single-threaded inside.
class Engine {
 public:
  virtual ~Engine() = default;

  /// Room for one image of that size (NCHW, 3 channels), to be filled before run(); valid until the next call. Networks
  /// that want it otherwise (channels last, uint8) get it converted.
  virtual std::span<float> input(InputSize size) = 0;

  /// The output, flattened; valid until the next call. Errors: invalid "model_unusable", when the network cannot run on
  /// an input of this size; transient "out_of_memory".
  virtual Result<std::span<const float>> run() = 0;

  virtual std::string_view name() const = 0;       // "opencv"
  virtual std::string_view precision() const = 0;  // "f32"
};

/// Runs the engine once on a grey image; its answer. Errors: those of run(); invalid "model_unusable" for numbers that
/// are not finite.
Result<std::vector<float>> try_engine(Engine& engine, InputSize size);

/// onnx: the bytes of the model file, not needed afterwards. Errors: invalid "model_unusable" with the reason.
Result<std::unique_ptr<Engine>> make_opencv_engine(ByteView onnx, const NetworkOptions& options);

}  // namespace imgrec
