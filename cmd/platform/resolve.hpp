// What defaults depend on the machine and the user: filled in once, after loading and before anything uses Config.
#pragma once

#include <filesystem>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"
#include "lib/config/load.hpp"

namespace imgrec {

/// Fills in state_dir (absolute), model.dir, web.node and the numbers of cores. Errors: invalid "no_state_dir" when
/// nothing says where it could be.
Result<void> resolve(Config& config, const Environment& environment);

/// Makes the folder, for its owner only, when it is not there. Errors: denied, transient "state_dir_unusable".
Result<void> make_state_dir(const Config& config);

}  // namespace imgrec
