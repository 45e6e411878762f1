// A Classifier out of its parts: decoder, preprocessor, any engine, names.
#pragma once

#include <memory>
#include <vector>

#include "inference/engine/engine.hpp"
#include "inference/models/labels.hpp"
#include "inference/models/model_manifest.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

struct ClassifierParts {
  ModelManifest manifest;
  std::shared_ptr<const std::vector<ClassName>> classes;
  ImageConfig limits;
};

std::unique_ptr<Classifier> make_classifier(const ClassifierParts& parts, std::unique_ptr<Engine> engine);

/// The top_k best classes with their probabilities, best first; equal ones by index. Logits go through a softmax.
/// Errors: invalid "model_unusable" when a number is not finite or there are not as many as classes.
Result<std::vector<Label>> best_labels(std::span<const float> output, OutputKind kind,
                                       const std::vector<ClassName>& classes, int top_k);

}  // namespace imgrec
