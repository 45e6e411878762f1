#include "inference/engine/engine.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {

Result<std::vector<float>> try_engine(Engine& engine, InputSize size) {
  std::ranges::fill(engine.input(size), 0.5F);
  const auto output = engine.run();
  if (!output) return fail(output.error());
  if (!std::ranges::all_of(*output, [](float value) { return std::isfinite(value); })) {
    return fail(ErrorKind::invalid, "model_unusable",
                "The model answers a grey image with numbers that are not finite.");
  }
  return std::vector<float>(output->begin(), output->end());
}

}  // namespace imgrec
