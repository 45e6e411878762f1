// A part of an object store, as a store of its own: for buckets that several services share.
#pragma once

#include <memory>
#include <string>

#include "lib/ports/object_store.hpp"

namespace imgrec {

/// Every key begins with `prefix` in the inner store, and callers do not see it. prefix: "team/imgrec/". Errors are the
/// inner store's; a key is "bad_key" also when prefix and key together are too long.
std::unique_ptr<ObjectStore> make_prefixed_store(std::unique_ptr<ObjectStore> inner, std::string prefix);

}  // namespace imgrec
