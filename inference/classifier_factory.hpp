// Makes classifiers: model file → engine → labels.
#pragma once

#include <filesystem>
#include <string>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

struct ClassifierOptions {
  std::filesystem::path model_dir;
  std::string model = "resnet18";   // name in the model store
  std::string labels = "names";     // names, reference, or a file with one name per line
  ImageConfig limits{};
};

/// Loads and checks the model's manifest and labels once; each call of the factory makes a classifier for one thread
/// (single-threaded inside). Errors: not_found "no_such_model" (says how to get it), invalid "model_damaged" (SHA-256),
/// invalid "model_unusable" (the engine refuses it, and why), invalid "bad_labels".
Result<ClassifierFactory> make_classifier_factory(const ClassifierOptions& options);

}  // namespace imgrec
