#include "inference/preparer.hpp"

#include <string>

#include "inference/decode/rows.hpp"

namespace imgrec {
namespace {

// Decoded rows go straight into the engine's input, while they are in the nearest cache.
class InputSink final : public RowSink {
 public:
  InputSink(Preprocessor& preprocessor, Engine& engine, Clock& clock)
      : preprocessor_(preprocessor), engine_(engine), clock_(clock) {}

  int reduction_max(int width, int height) const override { return preprocessor_.reduction_max(width, height); }

  Result<Region> begin(int width, int height) override {
    const MonoTime start = clock_.mono_now();
    const auto size = preprocessor_.input_size_for(width, height);
    if (!size) return fail(size.error());
    const std::span<float> input = engine_.input(*size);
    if (input.size() != size->floats()) {
      return fail(ErrorKind::bug, "wrong_input",
                  "The engine has room for " + std::to_string(input.size()) + " numbers, not for " +
                      std::to_string(size->floats()) + ".");
    }
    const Region region = preprocessor_.begin(width, height, input);
    ms_ += elapsed_ms(start, clock_.mono_now());
    return region;
  }

  void put(const Rows& rows) override {
    const MonoTime start = clock_.mono_now();
    preprocessor_.put(rows);
    ms_ += elapsed_ms(start, clock_.mono_now());
  }

  /// The time spent here, within that of decoding.
  double ms() const { return ms_; }

 private:
  Preprocessor& preprocessor_;
  Engine& engine_;
  Clock& clock_;
  double ms_ = 0;
};

}  // namespace

Result<void> Preparer::check_size(InputSize size) const {
  const auto bounded = preprocessor_.input_size_for(size.width, size.height);
  if (!bounded) return fail(bounded.error());
  return {};
}

Result<PrepareTimes> Preparer::prepare(ByteView encoded_image, Engine& engine, Clock& clock) {
  const MonoTime start = clock.mono_now();
  InputSink sink(preprocessor_, engine, clock);
  if (auto decoded = decoder_.decode(encoded_image, sink); !decoded) return fail(decoded.error());
  return PrepareTimes{.decode_ms = elapsed_ms(start, clock.mono_now()) - sink.ms(), .preprocess_ms = sink.ms()};
}

}  // namespace imgrec
