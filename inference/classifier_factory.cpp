#include "inference/classifier_factory.hpp"

#include <utility>

#include "inference/classifier.hpp"
#include "inference/model_loader.hpp"

namespace imgrec {

ClassifierOptions classifier_options(const Config& config, int threads) {
  return {.model_dir = config.model.dir,
          .model = config.model.name,
          .labels = config.model.labels,
          .limits = config.image,
          .engine = config.model.engine,
          .precision = config.model.precision,
          .agreement_min = config.model.agreement_min,
          .threads = threads,
          .winograd = config.model.winograd,
          .cache_dir = std::filesystem::path(config.state_dir) / "cache"};
}

Result<ClassifierFactory> make_classifier_factory(const ClassifierOptions& options) {
  const auto model = load_model(options);
  if (!model) return fail(model.error());
  return make_classifier_factory(*model, options);
}

Result<ClassifierFactory> make_classifier_factory(const LoadedModel& model, const ClassifierOptions& options) {
  const ModelManifest& manifest = model.entry.manifest;
  auto classes = class_names_for(options.labels, manifest.labels, model.entry.folder);
  if (!classes) return fail(classes.error());
  if (model.outputs != classes->size()) {
    return fail(ErrorKind::invalid, "bad_labels",
                "The model " + manifest.name + " has " + std::to_string(model.outputs) + " classes, the labels name " +
                    std::to_string(classes->size()) + ".");
  }
  const ClassifierParts parts{.manifest = manifest,
                              .classes = std::make_shared<const std::vector<ClassName>>(*std::move(classes)),
                              .limits = options.limits};
  return [parts, make_engine = model.make_engine]() -> Result<std::unique_ptr<Classifier>> {
    auto engine = make_engine();
    if (!engine) return fail(engine.error());
    return make_classifier(parts, *std::move(engine));
  };
}

}  // namespace imgrec
