// What the commands about models have in common: how they speak of one.
#pragma once

#include <string>

#include "inference/models/model_manifest.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// "299 x 299 pixels, crop 0.875, rgb, nhwc, uint8"
std::string input_text(const ModelManifest& manifest);

/// "probabilities", "logits, of the output fc"
std::string output_text(const ModelManifest& manifest);

/// Reports an error of one model, not of how the command was called; the exit code.
int model_failed(const Error& error);

}  // namespace imgrec
