#include "inference/classifier_factory.hpp"

#include <mutex>
#include <utility>

#include "inference/classifier.hpp"
#include "inference/model_files.hpp"
#include "inference/model_loader.hpp"

namespace imgrec {
namespace {

// What all calls of a factory share. The engine that was tried serves the first of them.
struct Prepared {
  EngineFactory make_engine;
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
      auto made = make_engine();
      if (!made) return fail(made.error());
      engine = *std::move(made);
    }
    return make_classifier(parts, std::move(engine));
  }
};

}  // namespace

ClassifierOptions classifier_options(const Config& config) {
  return {.model_dir = config.model.dir,
          .model = config.model.name,
          .labels = config.model.labels,
          .limits = config.image,
          .engine = config.model.engine,
          .precision = config.model.precision,
          .agreement_min = config.model.agreement_min,
          .cache_dir = std::filesystem::path(config.state_dir) / "cache"};
}

Result<ClassifierFactory> make_classifier_factory(const ClassifierOptions& options) {
  const auto model = load_model(options);
  if (!model) return fail(model.error());
  const ModelManifest& manifest = model->entry.manifest;
  auto classes = class_names_for(options.labels, manifest.labels, model->entry.folder);
  if (!classes) return fail(classes.error());
  auto engine = model->make_engine();
  if (!engine) return fail(engine.error());
  const auto outputs = try_engine(**engine, manifest);
  if (!outputs) return fail(outputs.error());
  if (*outputs != classes->size()) {
    return fail(ErrorKind::invalid, "bad_labels",
                "The model " + manifest.name + " has " + std::to_string(*outputs) + " classes, the labels name " +
                    std::to_string(classes->size()) + ".");
  }
  const auto prepared = std::make_shared<Prepared>();
  prepared->make_engine = model->make_engine;
  prepared->parts = {.manifest = manifest,
                     .classes = std::make_shared<const std::vector<ClassName>>(*std::move(classes)),
                     .limits = options.limits};
  prepared->first = *std::move(engine);
  return [prepared] { return prepared->make(); };
}

}  // namespace imgrec
