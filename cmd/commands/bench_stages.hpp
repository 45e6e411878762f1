// What `imgrec bench` measures inside its own process: stages by themselves, and the whole way of an image.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "inference/classifier_factory.hpp"
#include "inference/model_loader.hpp"
#include "inference/preparer.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// One number per round.
struct Samples {
  std::vector<double> values;
  void add(double value) { values.push_back(value); }
  double median() const;
  double min() const;
  double max() const;
};

struct BenchImage {
  std::string path, bytes;
};

/// Decode, resize and scale are one pass; the parts are told apart by a clock between them.
struct PrepareSamples {
  Samples all_ms, decode_ms, preprocess_ms;  // mean of an image
};

/// An engine in one precision, with what was measured of it.
struct BenchEngine {
  LoadedModel model;
  std::unique_ptr<Engine> engine;                        // for the network alone
  std::vector<std::unique_ptr<Classifier>> classifiers;  // one per core
  Samples infer_ms, one_core, all_cores;                 // the last two: images per second
  Samples efficiency;                                    // one_core * (prepare + infer)
  Samples scaling;                                       // all_cores / one_core
  Samples cold_ms, cached_ms;                            // process start to first label
  Samples peak_bytes;                                    // resident, as many threads as cores
};

/// Loads the model with the engine and precision of the options, and makes `cores` classifiers. Errors: load_model()'s.
Result<BenchEngine> load_bench_engine(const ClassifierOptions& options, int cores);

/// Drops images that cannot be classified; the first reason, empty when there is none.
std::string keep_usable(std::vector<BenchImage>& images, BenchEngine& engine);

class StageBench {
 public:
  /// Each measurement takes about `seconds`, and at least one image, or one pass over all of them in prepare.
  StageBench(const std::vector<BenchImage>& images, const ImageConfig& limits, double seconds, Clock& clock);

  /// One round over everything, in an order in which a disturbance hits all alike. Errors: a classifier fails.
  Result<void> round(PrepareSamples& prepare, std::vector<BenchEngine>& engines);

 private:
  Result<double> prepare_once(PrepareSamples& samples, BenchEngine& with);
  Result<double> infer_ms(BenchEngine& engine);
  Result<double> images_per_second(BenchEngine& engine, std::size_t threads);

  const std::vector<BenchImage>& images_;
  ImageConfig limits_;
  double seconds_;
  Clock& clock_;
  std::unique_ptr<Preparer> preparer_;
};

}  // namespace imgrec
