// From a model's name to engines that run it: which engine, in which precision, and why.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "inference/classifier_factory.hpp"
#include "inference/engine/engine.hpp"
#include "inference/engine/engine_choice.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// Each call makes an engine for one thread; weights are shared behind them where the engine can. Thread-safe.
using EngineFactory = std::function<Result<std::unique_ptr<Engine>>()>;

struct LoadedModel {
  ModelEntry entry;
  EngineFactory make_engine;
  std::string engine;     // "openvino", "opencv"
  std::string precision;  // "f32", "bf16", "int8"
  std::string why;        // a few words for a person: instructions, agreement, what was passed over
  std::size_t outputs;    // numbers that an engine answers with
};

/// How the model's network is run, as its manifest says.
NetworkOptions network_options(const ModelManifest& manifest);

/// What came of running a model once.
struct EngineTrial {
  EngineCandidate candidate;
  Result<std::vector<float>> output;  // the answer to a grey image
};

/// Loads a model in every engine and precision that load_model() would take, in its order, and runs it in each. Errors:
/// those of choose_engines().
Result<std::vector<EngineTrial>> try_model(const ModelEntry& entry, const ClassifierOptions& options);

/// Finds the model, checks the SHA-256 of what is loaded, chooses engine and precision (engine_choice.hpp), loads it
/// and runs it once on a grey image. Uses all of the options but labels and limits. Errors: as
/// make_classifier_factory(), but for the labels.
Result<LoadedModel> load_model(const ClassifierOptions& options);

}  // namespace imgrec
