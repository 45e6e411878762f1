#include "inference/model_import.hpp"

#include <memory>
#include <utility>

#include "inference/engine/engine_openvino.hpp"
#include "inference/models/labels.hpp"
#include "inference/models/model_files.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

// Runs the model once, in the reference engine or, where that cannot, in the other one; the number of its outputs.
Result<std::size_t> try_engines(const std::string& weights, const ModelManifest& manifest, const fs::path& file) {
  const InputSize size{manifest.input_size, manifest.input_size};
  auto reference = make_opencv_engine(weights);
  auto outputs = reference ? try_engine(**reference, size) : fail(reference.error());
  if (outputs || !has_openvino()) return outputs;
  auto graph = MappedFile::open(file, kWeightsBytesMax);
  if (!graph) return fail(graph.error());
  const auto model = compile_openvino(std::make_shared<const ModelBytes>(*std::move(graph)),
                                      {.size = size, .any_size = manifest.profile == PreprocessProfile::as_is});
  if (!model) return outputs;
  auto engine = (*model)->make_engine();
  if (!engine) return outputs;
  const auto others = try_engine(**engine, size);
  return others ? others : outputs;
}

Result<ModelManifest> check_import(const std::string& weights, ModelManifest manifest, const ImportOptions& options) {
  const auto outputs = try_engines(weights, manifest, options.file);
  if (!outputs) return fail(outputs.error());
  std::size_t names = imagenet_class_names(ImagenetNames::names).size();
  if (!options.labels.empty()) {
    const auto own = read_label_file(options.labels);
    if (!own) return fail(own.error());
    names = own->size();
  }
  if (*outputs == names) return manifest;
  return fail(ErrorKind::invalid, "bad_labels",
              "The model has " + std::to_string(*outputs) + " classes, its labels name " + std::to_string(names) +
                  ". Give the right ones with --labels FILE (one name per line).");
}

}  // namespace

Result<ModelEntry> import_model(ModelStore& store, const ImportOptions& options) {
  return store.import(options, check_import);
}

}  // namespace imgrec
