// Makes classifiers: model file → engine → labels.
#pragma once

#include <filesystem>
#include <string>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

struct LoadedModel;  // inference/model_loader.hpp

struct ClassifierOptions {
  std::filesystem::path model_dir;
  std::string model = "resnet18";  // name in the model store
  std::string labels = "names";    // names, reference, or a file with one name per line
  ImageConfig limits{};
  std::string engine = "auto";        // auto, openvino, opencv
  std::string precision = "auto";     // auto, f32, bf16, int8
  double agreement_min = 0.98;        // part of the answers that have to be those in f32, for a precision auto takes
  int threads = 1;                    // classifiers that work at the same time
  bool winograd = true;               // 3x3 convolutions of our own in f32
  std::filesystem::path cache_dir{};  // for compiled models; empty: nothing is kept
};

/// What the settings ask for, for so many threads. The compiled models are in STATE_DIR/cache.
ClassifierOptions classifier_options(const Config& config, int threads);

/// Loads and checks the model's manifest and labels once; each call of the factory makes a classifier for one thread
/// (single-threaded inside). Errors: not_found "no_such_model" (says how to get it), invalid "model_damaged" (SHA-256),
/// invalid "model_unusable" (the engine refuses it, and why), invalid "bad_labels".
Result<ClassifierFactory> make_classifier_factory(const ClassifierOptions& options);

/// The same for a model that is loaded: for who wants to say which engine and precision that is.
Result<ClassifierFactory> make_classifier_factory(const LoadedModel& model, const ClassifierOptions& options);

}  // namespace imgrec
