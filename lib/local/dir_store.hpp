// An object store in a folder; semantics as in lib/ports/object_store.hpp.
#pragma once

#include <filesystem>
#include <memory>

#include "lib/base/result.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// Makes the folder when it is not there. Errors: denied, transient "disk_full" / "store_unavailable".
Result<std::unique_ptr<ObjectStore>> open_dir_store(const std::filesystem::path& folder);

}  // namespace imgrec
