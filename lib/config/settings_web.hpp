// The settings of [web]: a part of the one table, in a file of its own for its length.
#pragma once

#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

void add_web_settings(std::vector<Setting>& all);

/// Rules between them. Errors: invalid "bad_setting".
Result<void> validate_web(const WebConfig& web);

}  // namespace imgrec
