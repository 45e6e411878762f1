// A model's way into the model store: what it declares is read, and it is run first.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inference/classifier_factory.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct ImportedModel {
  ModelEntry entry;
  std::vector<std::string> runs_in;  // "openvino f32"
  std::vector<std::string> notes;    // sentences: an engine that cannot run it, and why
};

/// Size, layout, element type and outputs are those that the file declares; what contradicts them is refused. Runs the
/// model once in every engine that `engines` would choose, with no cache, and compares the number of its outputs with
/// the names of its classes; what the network ends in is recognised unless it is said. Then it is installed. Errors:
/// those of ModelStore::import(); invalid "model_unusable" with the reason, for several engines with each; invalid
/// "bad_labels"; invalid "bad_preparation".
Result<ImportedModel> import_model(ModelStore& store, const ImportOptions& options,
                                   const ClassifierOptions& engines = {});

/// Mean and scale as people write them: one number, or three with commas in the order of the network's channels; either
/// may be empty. Of values from 0 to 255; when all scales are below 1, of values from 0 to 1, as torchvision has them.
/// Nothing when both are empty. Errors: invalid "bad_preparation".
Result<std::optional<ColourScaling>> parse_scaling(const std::string& mean, const std::string& scale);

}  // namespace imgrec
