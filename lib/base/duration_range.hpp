#pragma once

#include "lib/base/units.hpp"

namespace imgrec {

/// From `min` to `max`, both included.
struct DurationRange {
  Millis min{0}, max{0};
};

}  // namespace imgrec
