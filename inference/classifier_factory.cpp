#include "inference/classifier_factory.hpp"

#include <mutex>
#include <utility>

#include "inference/classifier.hpp"
#include "inference/model_files.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

Result<std::unique_ptr<Engine>> load_engine(const ModelEntry& entry) {
  const auto weights = read_verified_weights(entry);
  if (!weights) return fail(weights.error());
  return make_opencv_engine(*weights);
}

// What all calls of a factory share. The engine that proved the model usable serves the first of them.
struct Prepared {
  ModelEntry entry;
  ClassifierParts parts;
  std::mutex mutex;
  std::unique_ptr<Engine> first;

  Result<std::unique_ptr<Classifier>> make() {
    std::unique_ptr<Engine> engine;
    {
      std::lock_guard lock(mutex);
      engine = std::move(first);
    }
    if (!engine) {
      auto loaded = load_engine(entry);
      if (!loaded) return fail(loaded.error());
      engine = *std::move(loaded);
    }
    return make_classifier(parts, std::move(engine));
  }
};

}  // namespace

Result<ClassifierFactory> make_classifier_factory(const ClassifierOptions& options) {
  auto entry = ModelStore(options.model_dir).find(options.model);
  if (!entry) return fail(entry.error());
  if (entry->folder.empty()) return fail(not_installed(*entry));
  const ModelManifest& manifest = entry->manifest;
  auto classes = class_names_for(options.labels, manifest.labels, entry->folder);
  if (!classes) return fail(classes.error());
  auto engine = load_engine(*entry);
  if (!engine) return fail(engine.error());
  const auto outputs = try_engine(**engine, manifest);
  if (!outputs) return fail(outputs.error());
  if (*outputs != classes->size()) {
    return fail(ErrorKind::invalid, "bad_labels",
                "The model " + manifest.name + " has " + std::to_string(*outputs) + " classes, the labels name " +
                    std::to_string(classes->size()) + ".");
  }
  const auto prepared = std::make_shared<Prepared>();
  prepared->parts = {.manifest = manifest,
                     .classes = std::make_shared<const std::vector<ClassName>>(*std::move(classes)),
                     .limits = options.limits};
  prepared->first = *std::move(engine);
  prepared->entry = *std::move(entry);
  return [prepared] { return prepared->make(); };
}

}  // namespace imgrec
