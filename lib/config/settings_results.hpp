// The settings of [results]: a part of the one table, in a file of its own for its length.
#pragma once

#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

void add_results_settings(std::vector<Setting>& all);

/// Rules between them and with the platform. Errors: invalid "bad_setting".
Result<void> validate_results(const Config& config);

}  // namespace imgrec
