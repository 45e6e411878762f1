// A classifier whose label is derived from the image's bytes, so that a label answered to the wrong image is visible.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/ports/classifier.hpp"
#include "tests/support/faults.hpp"

namespace imgrec::test {

/// Steers all classifiers that its factory made. Thread-safe; outlives them.
class FakeClassifiers {
 public:
  explicit FakeClassifiers(Clock& clock) : clock_(clock) {}

  ClassifierFactory factory();

  /// The first label of these bytes.
  static std::string label_of(ByteView image);
  /// An image that is refused with this code ("image_truncated").
  static std::string bad_image(const std::string& code) { return "bad:" + code; }

  static std::string thumbnail_of(ByteView image, int side);

  enum class Call { make, classify, thumbnail };
  Faults<Call> faults;
  /// Runs with the bytes of each image before it is classified.
  void on_image(std::function<void(ByteView)> hook);
  /// Each call takes so long on the clock.
  void set_duration(Millis duration);
  /// The next `count` calls throw a std::runtime_error.
  void throw_next(int count);
  /// The next `count` calls answer scores that are no numbers.
  void answer_nan_next(int count);
  /// Calls from now on stay inside classify() until release().
  void hold();
  void release();
  /// Waits (in real time) until that many calls are held.
  void wait_for_held(int count);

 private:
  class One;
  Result<Classification> classify(ByteView image, int top_k);
  Result<std::string> thumbnail(ByteView image, int side);

  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(ByteView)> on_image_;
  Millis duration_{0};
  int throws_ = 0, nans_ = 0;
  bool holding_ = false;
  int held_ = 0;
};

}  // namespace imgrec::test
