#include "inference/model_loader.hpp"

#include <mutex>
#include <utility>

#include "inference/model_files.hpp"

namespace imgrec {
namespace {

// OpenCV keeps a network of its own in each engine. The one that proved the model usable serves the first call.
EngineFactory opencv_factory(const ModelEntry& entry, std::unique_ptr<Engine> first) {
  struct Shared {
    ModelEntry entry;
    std::mutex mutex;
    std::unique_ptr<Engine> first;
  };
  const auto shared = std::make_shared<Shared>();
  shared->entry = entry;
  shared->first = std::move(first);
  return [shared]() -> Result<std::unique_ptr<Engine>> {
    {
      std::lock_guard lock(shared->mutex);
      if (shared->first) return std::move(shared->first);
    }
    const auto weights = read_verified_weights(shared->entry);
    if (!weights) return fail(weights.error());
    return make_opencv_engine(*weights);
  };
}

}  // namespace

Result<LoadedModel> load_model(const ClassifierOptions& options) {
  auto entry = ModelStore(options.model_dir).find(options.model);
  if (!entry) return fail(entry.error());
  if (entry->folder.empty()) return fail(not_installed(*entry));
  const auto weights = read_verified_weights(*entry);
  if (!weights) return fail(weights.error());
  auto engine = make_opencv_engine(*weights);
  if (!engine) return fail(engine.error());
  return LoadedModel{.entry = *entry,
                     .make_engine = opencv_factory(*entry, *std::move(engine)),
                     .engine = "opencv",
                     .precision = "f32",
                     .why = "OpenCV is the only engine of this build."};
}

}  // namespace imgrec
