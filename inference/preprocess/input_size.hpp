// The size of a network's input.
#pragma once

#include <cstddef>

namespace imgrec {

/// In pixels; each has 3 numbers.
struct InputSize {
  int width = 0, height = 0;
  std::size_t floats() const { return 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height); }
};

}  // namespace imgrec
