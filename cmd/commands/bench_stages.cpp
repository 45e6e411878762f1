#include "cmd/commands/bench_stages.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace imgrec {
namespace {

double seconds_since(MonoTime start, const Clock& clock) {
  return elapsed_ms(start, clock.mono_now()) / 1000;
}

}  // namespace

double Samples::median() const {
  if (values.empty()) return 0;
  std::vector<double> sorted = values;
  std::ranges::sort(sorted);
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
double Samples::min() const {
  return values.empty() ? 0 : std::ranges::min(values);
}
double Samples::max() const {
  return values.empty() ? 0 : std::ranges::max(values);
}

Result<BenchEngine> load_bench_engine(const ClassifierOptions& options, int cores) {
  auto model = load_model(options);
  if (!model) return fail(model.error());
  BenchEngine engine;
  const auto make_classifier = make_classifier_factory(*model, options);
  if (!make_classifier) return fail(make_classifier.error());
  for (int i = 0; i < cores; ++i) {
    auto classifier = (*make_classifier)();
    if (!classifier) return fail(classifier.error());
    engine.classifiers.push_back(*std::move(classifier));
  }
  auto alone = model->make_engine();
  if (!alone) return fail(alone.error());
  engine.engine = *std::move(alone);
  engine.model = *std::move(model);
  return engine;
}

std::string keep_usable(std::vector<BenchImage>& images, BenchEngine& engine) {
  std::string reason;
  std::erase_if(images, [&](const BenchImage& image) {
    const auto answer = engine.classifiers.front()->classify(image.bytes, 1);
    if (!answer && reason.empty()) reason = image.path + ": " + answer.error().message;
    return !answer;
  });
  return reason;
}

StageBench::StageBench(const std::vector<BenchImage>& images, const ImageConfig& limits, double seconds, Clock& clock)
    : images_(images), limits_(limits), seconds_(seconds), clock_(clock) {}

Result<double> StageBench::prepare_once(PrepareSamples& samples, BenchEngine& with) {
  if (!preparer_) {
    const ModelManifest& manifest = with.model.entry.manifest;
    preparer_ = std::make_unique<Preparer>(limits_, manifest);
  }
  double decode = 0, preprocess = 0;
  std::size_t count = 0;
  const MonoTime start = clock_.mono_now();
  do {
    for (const BenchImage& image : images_) {
      const auto times = preparer_->prepare(image.bytes, *with.engine, clock_);
      if (!times) return fail(times.error());
      decode += times->decode_ms;
      preprocess += times->preprocess_ms;
      ++count;
    }
  } while (seconds_since(start, clock_) < seconds_);
  const double all = elapsed_ms(start, clock_.mono_now()) / static_cast<double>(count);
  samples.all_ms.add(all);
  samples.decode_ms.add(decode / static_cast<double>(count));
  samples.preprocess_ms.add(preprocess / static_cast<double>(count));
  return all;
}

// On the input of one image: a network's time does not depend on what it sees.
Result<double> StageBench::infer_ms(BenchEngine& engine) {
  const auto times = preparer_->prepare(images_.front().bytes, *engine.engine, clock_);
  if (!times) return fail(times.error());
  std::size_t count = 0;
  const MonoTime start = clock_.mono_now();
  do {
    if (const auto output = engine.engine->run(); !output) return fail(output.error());
    ++count;
  } while (seconds_since(start, clock_) < seconds_);
  const double ms = elapsed_ms(start, clock_.mono_now()) / static_cast<double>(count);
  engine.infer_ms.add(ms);
  return ms;
}

// Each thread takes the next image until the time is over; an image that was begun is finished and counts.
Result<double> StageBench::images_per_second(BenchEngine& engine, std::size_t threads) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  const MonoTime start = clock_.mono_now();
  const auto work = [&](Classifier& classifier) {
    while (seconds_since(start, clock_) < seconds_) {
      const auto answer = classifier.classify(images_[next++ % images_.size()].bytes, 1);
      if (answer) continue;
      std::lock_guard lock(mutex);
      error = answer.error();
      return;
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < threads; ++i) {
      others.emplace_back([&, i] { work(*engine.classifiers[i]); });
    }
    work(*engine.classifiers[0]);
  }
  if (error) return fail(*error);
  return static_cast<double>(next) / seconds_since(start, clock_);
}

Result<void> StageBench::round(PrepareSamples& prepare, std::vector<BenchEngine>& engines) {
  const auto prepared = prepare_once(prepare, engines.front());
  if (!prepared) return fail(prepared.error());
  for (BenchEngine& engine : engines) {
    const auto infer = infer_ms(engine);
    if (!infer) return fail(infer.error());
    const auto one = images_per_second(engine, 1);
    if (!one) return fail(one.error());
    const auto all = images_per_second(engine, engine.classifiers.size());
    if (!all) return fail(all.error());
    engine.one_core.add(*one);
    engine.all_cores.add(*all);
    engine.efficiency.add(*one * (*prepared + *infer) / 1000);
    engine.scaling.add(*all / *one);
  }
  return {};
}

}  // namespace imgrec
