// The settings of [controller]: a part of the one table, in a file of its own for its length.
#pragma once

#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

void add_controller_settings(std::vector<Setting>& all);

/// Rules between them. Errors: invalid "bad_setting".
Result<void> validate_controller(const ControllerConfig& controller);

}  // namespace imgrec
