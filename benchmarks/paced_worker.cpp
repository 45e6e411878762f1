// The real `imgrec`, whose worker takes as long for each image as a machine with one slow core: WORKER_PACE_MS on the
// average, varying as a photo's time does (log-normal, sigma 0.2). It sleeps, so that many "machines" fit on one.
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "cmd/imgrec.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"

namespace {

constexpr double kSigma = 0.2;

imgrec::Millis draw(double mean_ms) {
  imgrec::Rng& rng = imgrec::system_rng();
  const double normal =
      std::sqrt(-2 * std::log(1 - rng.next_unit())) * std::cos(2 * std::numbers::pi * rng.next_unit());
  return imgrec::Millis(std::lround(mean_ms * std::exp(kSigma * normal - kSigma * kSigma / 2)));
}

}  // namespace

int main(int argc, char** argv) {
  const imgrec::Environment environment = imgrec::process_environment();
  imgrec::WorkerHooks hooks;
  if (const auto pace = environment.find("WORKER_PACE_MS"); pace != environment.end()) {
    hooks.on_image = [mean_ms = std::stod(pace->second)](imgrec::ByteView) {
      imgrec::system_clock().sleep_for(draw(mean_ms), {});
    };
  }
  return imgrec::run_imgrec(std::vector<std::string>(argv + 1, argv + argc), environment, hooks);
}
