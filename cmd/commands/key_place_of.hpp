// Where the setting web.keys_file says that the keys are: shared by `imgrec key` and the web role.
#pragma once

#include <memory>

#include "lib/config/config.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/access/key_place.hpp"

namespace imgrec {

/// web.keys_file must not be empty. `results`: used where it is "store".
std::unique_ptr<KeyPlace> key_place_of(const Config& config, std::shared_ptr<ObjectStore> results);

}  // namespace imgrec
