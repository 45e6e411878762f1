#include "inference/engine/engine.hpp"

#include <algorithm>

namespace imgrec {

Result<std::size_t> try_engine(Engine& engine, InputSize size) {
  std::ranges::fill(engine.input(size), 0.5F);
  const auto output = engine.run();
  if (!output) return fail(output.error());
  return output->size();
}

}  // namespace imgrec
