// A model's way into the model store: it is loaded and run first.
#pragma once

#include "inference/models/model_store.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// Runs the model once and compares the number of its outputs with the names of its classes; then it is installed.
/// Errors: those of ModelStore::import(); invalid "model_unusable" with the engine's reason; invalid "bad_labels".
Result<ModelEntry> import_model(ModelStore& store, const ImportOptions& options);

}  // namespace imgrec
