#include "inference/model_loader.hpp"

#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "inference/engine/engine_choice.hpp"
#include "inference/engine/engine_openvino.hpp"
#include "inference/models/model_cache.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

using EngineResult = Result<std::unique_ptr<Engine>>;

VariantFile original(const ModelManifest& manifest) {
  return {.file = manifest.file, .sha256 = manifest.sha256};
}

// Many networks run at other sizes than the one that they declare (all that end in a global pool), others do not: they
// fail, or answer with another number of classes.
Result<void> try_other_sizes(Engine& engine, std::size_t classes) {
  for (const InputSize size : {InputSize{64, 64}, InputSize{96, 80}}) {
    const auto output = try_engine(engine, size);
    if (output && output->size() == classes) continue;
    return fail(ErrorKind::invalid, "model_unusable",
                "The profile as-is is for networks that take images of any size, and this one does not take " +
                    std::to_string(size.width) + " x " + std::to_string(size.height) +
                    " pixels: use the profile zero-one, which resizes, or export the model with dynamic height and "
                    "width." +
                    (output ? "" : " " + output.error().message));
  }
  return {};
}

// What the engines of a model share. The one that proved the model usable serves the first call.
class Shared {
 public:
  virtual ~Shared() = default;

  Result<std::vector<float>> prove(const ModelManifest& manifest) {
    auto engine = make();
    if (!engine) return fail(engine.error());
    auto output = try_engine(**engine, {manifest.input_size, manifest.input_size});
    if (output && manifest.profile == PreprocessProfile::as_is) {
      if (auto any = try_other_sizes(**engine, output->size()); !any) return fail(any.error());
    }
    if (output) first_ = *std::move(engine);
    return output;
  }

  EngineResult next() {
    {
      std::lock_guard lock(mutex_);
      if (first_) return std::move(first_);
    }
    return make();
  }

 protected:
  virtual EngineResult make() = 0;

 private:
  std::mutex mutex_;
  std::unique_ptr<Engine> first_;
};

// OpenCV keeps a network of its own in each engine.
class OpencvShared final : public Shared {
 public:
  explicit OpencvShared(ModelEntry entry) : entry_(std::move(entry)) {}

 private:
  EngineResult make() override {
    const auto weights = map_verified(entry_, original(entry_.manifest));
    if (!weights) return fail(weights.error());
    return make_opencv_engine(weights->bytes(), network_options(entry_.manifest));
  }

  ModelEntry entry_;
};

class OpenvinoShared final : public Shared {
 public:
  explicit OpenvinoShared(std::shared_ptr<OpenvinoModel> model) : model_(std::move(model)) {}

  // Beside the first images: the next start gains by it, this one must not wait.
  void keep(const ModelCache& cache, const std::string& key, std::shared_ptr<const ModelBytes> bytes) {
    saver_ = std::jthread([model = model_, cache, key, bytes = std::move(bytes)] {
      const auto content = model->exported();
      const auto stored = content ? cache.store(key, *content) : fail(content.error());
      if (!stored) log::debug("compiled model not kept", {{"reason", stored.error().message}});
      bytes->drop_pages();
    });
  }

 private:
  EngineResult make() override { return model_->make_engine(); }

  std::shared_ptr<OpenvinoModel> model_;
  std::jthread saver_;
};

struct Ready {
  std::shared_ptr<Shared> shared;
  std::vector<float> output;  // the answer to a grey image
};

Result<Ready> proven(std::shared_ptr<Shared> shared, const ModelManifest& manifest) {
  auto output = shared->prove(manifest);
  if (!output) return fail(output.error());
  return Ready{std::move(shared), *std::move(output)};
}

Result<Ready> load_opencv(const ModelEntry& entry) {
  return proven(std::make_shared<OpencvShared>(entry), entry.manifest);
}

// Everything that a compiled model depends on.
std::string cache_key(const std::vector<VariantFile>& files, const OpenvinoOptions& options) {
  std::string key = openvino_identity();
  for (const VariantFile& file : files) key += " " + file.sha256;
  const NetworkOptions& network = options.network;
  key += " " + std::string(to_string(options.precision)) + " " +
         (network.any_size ? "any" : std::to_string(network.size.width) + "x" + std::to_string(network.size.height)) +
         " " + std::string(to_string(network.element)) + " " + network.output + (options.winograd ? " winograd" : "");
  const ProcessorFeatures has = processor_features();
  for (const bool feature :
       {has.avx2, has.avx512, has.avx_vnni, has.avx512_vnni, has.amx_int8, has.avx512_bf16, has.amx_bf16}) {
    key += feature ? '1' : '0';
  }
  return key;
}

// Weights have been copied to where the engine wants them: the files' pages are needed no more.
Result<Ready> load_compiled(const ModelCache& cache, const std::string& key, const OpenvinoOptions& options,
                            const ModelManifest& manifest) {
  const auto found = cache.find(key);
  if (!found) return fail(ErrorKind::not_found, "not_cached", "There is no compiled model.");
  auto model = import_openvino(found->file, found->offset, options);
  if (!model) return fail(model.error());
  auto ready = proven(std::make_shared<OpenvinoShared>(*std::move(model)), manifest);
  found->file->drop_pages();
  return ready;
}

Result<Ready> load_openvino(const ModelEntry& entry, Precision precision, const ClassifierOptions& options) {
  const ModelManifest& manifest = entry.manifest;
  const ModelVariant* variant = manifest.variant(precision);
  const bool has_files = variant != nullptr && !variant->files.empty();
  const std::vector<VariantFile> files = has_files ? variant->files : std::vector{original(manifest)};
  auto graph = map_verified(entry, files[0]);
  if (!graph) return fail(graph.error());
  auto weights = files.size() > 1 ? map_verified(entry, files[1]) : MappedFile();
  if (!weights) return fail(weights.error());
  const auto bytes = std::make_shared<const ModelBytes>(*std::move(graph), *std::move(weights));
  const OpenvinoOptions wanted{.precision = precision,
                               .network = network_options(manifest),
                               .threads = options.threads,
                               .winograd = options.winograd};
  const ModelCache cache(options.cache_dir);
  const std::string key = cache_key(files, wanted);
  if (auto ready = load_compiled(cache, key, wanted, manifest)) return ready;
  cache.remove(key);  // nothing, or something that cannot be used
  auto model = compile_openvino(bytes, wanted);
  if (!model) return fail(model.error());
  const auto shared = std::make_shared<OpenvinoShared>(*std::move(model));
  auto ready = proven(shared, manifest);
  if (ready && !options.cache_dir.empty())
    shared->keep(cache, key, bytes);
  else
    bytes->drop_pages();
  return ready;
}

Result<Ready> load(const ModelEntry& entry, const EngineCandidate& candidate, const ClassifierOptions& options) {
  return candidate.engine == "opencv" ? load_opencv(entry) : load_openvino(entry, candidate.precision, options);
}

Result<std::vector<EngineCandidate>> candidates_for(const ModelManifest& manifest, const ClassifierOptions& options) {
  return choose_engines({.engine = options.engine,
                         .precision = options.precision,
                         .agreement_min = options.agreement_min,
                         .has_openvino = has_openvino(),
                         .processor = processor_features()},
                        manifest);
}

}  // namespace

NetworkOptions network_options(const ModelManifest& manifest) {
  return {.size = {manifest.input_size, manifest.input_size},
          .any_size = manifest.profile == PreprocessProfile::as_is,
          .element = manifest.element,
          .output = manifest.output_name};
}

Result<std::vector<EngineTrial>> try_model(const ModelEntry& entry, const ClassifierOptions& options) {
  const auto candidates = candidates_for(entry.manifest, options);
  if (!candidates) return fail(candidates.error());
  std::vector<EngineTrial> trials;
  for (const EngineCandidate& candidate : *candidates) {
    auto ready = load(entry, candidate, options);
    if (ready)
      trials.push_back({.candidate = candidate, .output = std::move(ready->output)});
    else
      trials.push_back({.candidate = candidate, .output = fail(ready.error())});
  }
  return trials;
}

Result<LoadedModel> load_model(const ClassifierOptions& options) {
  auto entry = ModelStore(options.model_dir).find(options.model);
  if (!entry) return fail(entry.error());
  if (entry->folder.empty()) return fail(not_installed(*entry));
  const auto candidates = candidates_for(entry->manifest, options);
  if (!candidates) return fail(candidates.error());
  std::string refusals, reasons;
  Error last;
  for (const EngineCandidate& candidate : *candidates) {
    const auto ready = load(*entry, candidate, options);
    if (ready) {
      return LoadedModel{.entry = *entry,
                         .make_engine = [shared = ready->shared] { return shared->next(); },
                         .engine = candidate.engine,
                         .precision = std::string(to_string(candidate.precision)),
                         .why = candidate.why + refusals,
                         .outputs = ready->output.size()};
    }
    last = ready.error();
    // What each engine says is worth knowing: the next one's words may be the less clear ones.
    if (reasons.find(last.message) == std::string::npos) reasons += (reasons.empty() ? "" : " ") + last.message;
    // Only a model that an engine cannot run is tried with the next one: a damaged file is no reason to take another.
    if (last.code != "model_unusable") break;
    refusals += "; not " + candidate.engine + " " + std::string(to_string(candidate.precision)) + ": " + last.message;
  }
  if (last.code == "model_unusable") last.message = reasons;
  return fail(last);
}

}  // namespace imgrec
