// What a network declares of its input and outputs, whatever engine is going to run it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inference/engine/onnx_file.hpp"
#include "inference/models/model_manifest.hpp"
#include "inference/preprocess/input_size.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct DeclaredInput {
  Layout layout = Layout::nchw;
  ElementType element = ElementType::float32;  // float16 counts as float32: engines convert
  int side = 0;                                // pixels; 0: any size
};

/// shape: -1 for any length. element: "float32", "float16", "uint8" or whatever it is. Errors: invalid
/// "model_unusable", naming what cannot be obeyed: several images at a time, grey ones, no square, another element
/// type.
Result<DeclaredInput> declared_input(const std::vector<std::int64_t>& shape, const std::string& element);
/// The same for an ONNX file, and when it has not one input.
Result<DeclaredInput> declared_input(const OnnxFile& file);

/// How a network is run.
struct NetworkOptions {
  InputSize size{};                            // of the images, when any_size is false
  bool any_size = false;                       // each image has its own
  ElementType element = ElementType::float32;  // what the images were prepared for
  std::string output{};                        // the name of the output that answers; empty: the first
};

/// Whether a network that declares this can be run so. Errors: invalid "model_unusable", saying to import it again.
Result<void> check_declared(const DeclaredInput& declared, const NetworkOptions& options);

/// The output that answers with so many numbers, of the name that is asked for unless that is empty. Errors: invalid
/// "model_unusable" (no such name; several that fit, with their names); invalid "bad_labels", when none has so many.
Result<std::string> choose_output(const OnnxFile& file, const std::string& wanted, std::size_t classes);

}  // namespace imgrec
