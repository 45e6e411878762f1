#include "inference/classifier.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "inference/decode/thumbnail.hpp"
#include "inference/preparer.hpp"
#include "lib/base/clock.hpp"
#include "lib/job/tensor.hpp"

namespace imgrec {
namespace {

// What the engine did wrong is never an error of the image, which would be stored for good.
Error failure_of_engine(const Error& error) {
  if (error.kind != ErrorKind::invalid) return error;
  return {ErrorKind::bug, "engine_failed", error.message};
}

class EngineClassifier final : public Classifier {
 public:
  EngineClassifier(const ClassifierParts& parts, std::unique_ptr<Engine> engine)
      : manifest_(parts.manifest),
        classes_(parts.classes),
        engine_(std::move(engine)),
        limits_(parts.limits),
        preparer_(parts.limits, parts.manifest) {}

  Result<Classification> classify(ByteView encoded_image, int top_k) override {
    if (is_tensor(encoded_image)) return classify_tensor(encoded_image, top_k);
    Clock& clock = system_clock();
    const auto times = preparer_.prepare(encoded_image, *engine_, clock);
    if (!times) return fail(times.error());
    const MonoTime prepared = clock.mono_now();
    const auto output = engine_->run();
    if (!output) return fail(failure_of_run(output.error()));
    auto labels = best_labels(*output, manifest_.output, *classes_, top_k);
    if (!labels) return fail(failure_of_engine(labels.error()));
    return Classification{.labels = *std::move(labels),
                          .decode_ms = times->decode_ms,
                          .preprocess_ms = times->preprocess_ms,
                          .infer_ms = elapsed_ms(prepared, clock.mono_now())};
  }

  Result<std::string> thumbnail(ByteView encoded_image, int side) override {
    if (is_tensor(encoded_image)) return fail(ErrorKind::invalid, "unsupported_format", "A tensor is no picture.");
    return make_thumbnail(encoded_image, side, limits_);
  }

  ModelInfo model() const override {
    return {.name = manifest_.name,
            .sha256 = manifest_.sha256,
            .engine = std::string(engine_->name()),
            .precision = std::string(engine_->precision())};
  }

 private:
  // What a client computed may drive a network to numbers that are none: nothing here is the engine's fault.
  Result<Classification> classify_tensor(ByteView object, int top_k) {
    const auto tensor = parse_tensor(object);
    if (!tensor) return fail(tensor.error());
    const InputSize size{.width = tensor->width, .height = tensor->height};
    const bool any_size = manifest_.profile == PreprocessProfile::as_is;
    if (!any_size && (size.width != manifest_.input_size || size.height != manifest_.input_size)) {
      const std::string side = std::to_string(manifest_.input_size);
      return fail(ErrorKind::invalid, "bad_tensor",
                  "The tensor is " + std::to_string(size.height) + " x " + std::to_string(size.width) +
                      ", and the model " + manifest_.name + " takes " + side + " x " + side + ".");
    }
    if (auto bounded = preparer_.check_size(size); !bounded) return fail(bounded.error());
    const std::span<float> input = engine_->input(size);
    if (input.size_bytes() != tensor->numbers.size()) {
      return fail(ErrorKind::bug, "wrong_input", "The engine has no room for a tensor of the model's size.");
    }
    std::memcpy(input.data(), tensor->numbers.data(), tensor->numbers.size());
    Clock& clock = system_clock();
    const MonoTime prepared = clock.mono_now();
    const auto output = engine_->run();
    if (!output) return fail(failure_of_run(output.error()));
    auto labels = best_labels(*output, manifest_.output, *classes_, top_k);
    if (!labels) return fail(ErrorKind::invalid, "bad_tensor", labels.error().message);
    return Classification{.labels = *std::move(labels), .infer_ms = elapsed_ms(prepared, clock.mono_now())};
  }

  // A network that takes images of any size may be unable to run on the size of this one; all others were run on their
  // only size when they were loaded.
  Error failure_of_run(const Error& error) const {
    return manifest_.profile == PreprocessProfile::as_is ? error : failure_of_engine(error);
  }

  ModelManifest manifest_;
  std::shared_ptr<const std::vector<ClassName>> classes_;
  std::unique_ptr<Engine> engine_;
  const ImageConfig limits_;
  Preparer preparer_;
};

}  // namespace

std::unique_ptr<Classifier> make_classifier(const ClassifierParts& parts, std::unique_ptr<Engine> engine) {
  return std::make_unique<EngineClassifier>(parts, std::move(engine));
}

Result<std::vector<Label>> best_labels(std::span<const float> output, OutputKind kind,
                                       const std::vector<ClassName>& classes, int top_k) {
  if (output.size() != classes.size()) {
    return fail(ErrorKind::invalid, "model_unusable",
                "The model answers with " + std::to_string(output.size()) + " numbers for " +
                    std::to_string(classes.size()) + " class names.");
  }
  if (!std::all_of(output.begin(), output.end(), [](float value) { return std::isfinite(value); })) {
    return fail(ErrorKind::invalid, "model_unusable", "The model answers with numbers that are not finite.");
  }
  std::vector<int> order(output.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](int index) { return output[static_cast<std::size_t>(index)]; };
  const auto count = std::min(static_cast<std::size_t>(std::max(top_k, 1)), output.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](int a, int b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  double total = 1;
  const double largest = value(order.front());
  if (kind == OutputKind::logits) {
    total = std::accumulate(output.begin(), output.end(), 0.0,
                            [&](double sum, float logit) { return sum + std::exp(logit - largest); });
  }
  std::vector<Label> labels;
  labels.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int index = order[i];
    const ClassName& name = classes[static_cast<std::size_t>(index)];
    const double score = kind == OutputKind::logits ? std::exp(value(index) - largest) / total : value(index);
    labels.push_back({.index = index, .wnid = name.wnid, .label = name.name, .score = score});
  }
  return labels;
}

}  // namespace imgrec
