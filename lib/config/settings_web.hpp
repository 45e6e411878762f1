// The settings of [web]: a part of the one table, in a file of its own for its length.
#pragma once

#include <vector>

#include "lib/config/settings.hpp"

namespace imgrec {

void add_web_settings(std::vector<Setting>& all);

}  // namespace imgrec
