// How many entries a list may have, as its client asks.
#pragma once

#include <cstddef>

#include "lib/base/result.hpp"

namespace imgrec {

struct Request;

/// ?limit=, from 1 to 100; without it 50. Errors: invalid "bad_limit".
Result<std::size_t> list_limit(const Request& request);

}  // namespace imgrec
