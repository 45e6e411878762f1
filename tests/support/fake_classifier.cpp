#include "tests/support/fake_classifier.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "lib/base/digest.hpp"

namespace imgrec::test {

class FakeClassifiers::One final : public Classifier {
 public:
  explicit One(FakeClassifiers& all) : all_(all) {}
  Result<Classification> classify(ByteView image, int top_k) override { return all_.classify(image, top_k); }
  Result<std::string> thumbnail(ByteView image, int side) override { return all_.thumbnail(image, side); }
  ModelInfo model() const override {
    return {.name = "fake", .sha256 = std::string(64, '0'), .engine = "fake", .precision = "f32"};
  }

 private:
  FakeClassifiers& all_;
};

ClassifierFactory FakeClassifiers::factory() {
  return [this]() -> Result<std::unique_ptr<Classifier>> {
    if (auto error = faults.enter(Call::make)) return fail(*std::move(error));
    return std::make_unique<One>(*this);
  };
}

std::string FakeClassifiers::label_of(ByteView image) {
  return "label-" + sha256_hex(image).substr(0, 12);
}

Result<Classification> FakeClassifiers::classify(ByteView image, int top_k) {
  if (auto error = faults.enter(Call::classify)) return fail(*std::move(error));
  Millis duration{0};
  std::function<void(ByteView)> hook;
  {
    std::unique_lock lock(mutex_);
    if (throws_ > 0) {
      --throws_;
      throw std::runtime_error("a classifier that throws");
    }
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !holding_; });
    --held_;
    duration = duration_;
    hook = on_image_;
  }
  if (hook) hook(image);
  if (duration > Millis(0)) clock_.sleep_for(duration, {});
  if (image.empty()) return fail(ErrorKind::invalid, "image_truncated", "The image has no bytes.");
  if (image.starts_with("bad:")) {
    return fail(ErrorKind::invalid, std::string(image.substr(4)), "An image that the test made bad.");
  }
  Classification classification;
  for (int i = 0; i < std::clamp(top_k, 1, 1000); ++i) {
    const std::string label = i == 0 ? label_of(image) : "other-" + std::to_string(i);
    classification.labels.push_back({.index = i, .wnid = "", .label = label, .score = 0.5 / (1 + i)});
  }
  {
    std::lock_guard lock(mutex_);
    if (nans_ > 0 && nans_-- > 0) classification.labels.front().score = std::numeric_limits<double>::quiet_NaN();
  }
  classification.decode_ms = 1;
  classification.preprocess_ms = 2;
  classification.infer_ms = 3;
  return classification;
}

Result<std::string> FakeClassifiers::thumbnail(ByteView image, int side) {
  if (auto error = faults.enter(Call::thumbnail)) return fail(*std::move(error));
  return thumbnail_of(image, side);
}

std::string FakeClassifiers::thumbnail_of(ByteView image, int side) {
  return "thumbnail of " + std::to_string(side) + " of " + label_of(image);
}

void FakeClassifiers::on_image(std::function<void(ByteView)> hook) {
  std::lock_guard lock(mutex_);
  on_image_ = std::move(hook);
}

void FakeClassifiers::set_duration(Millis duration) {
  std::lock_guard lock(mutex_);
  duration_ = duration;
}

void FakeClassifiers::throw_next(int count) {
  std::lock_guard lock(mutex_);
  throws_ = count;
}

void FakeClassifiers::answer_nan_next(int count) {
  std::lock_guard lock(mutex_);
  nans_ = count;
}

void FakeClassifiers::hold() {
  std::lock_guard lock(mutex_);
  holding_ = true;
}

void FakeClassifiers::release() {
  std::lock_guard lock(mutex_);
  holding_ = false;
  changed_.notify_all();
}

void FakeClassifiers::wait_for_held(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_ >= count; });
}

}  // namespace imgrec::test
