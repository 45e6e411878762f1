// Where the keys lie: in a file of this machine, or in the result store, where every web node finds them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// The value of web.keys_file that stands for the object in the store.
constexpr std::string_view kKeysInStore = "store";

/// Thread-safe. Calls block.
class KeyPlace {
 public:
  virtual ~KeyPlace() = default;
  /// For people: "/etc/imgrec/keys.json".
  virtual std::string shown() const = 0;
  /// The document and its version. Errors: not_found when there is none yet; else as of the file or the store.
  virtual Result<StoredObject> read(const CallLimits& limits) = 0;
  /// Replaces the document of that version; empty: there was none. Returns false when somebody else was quicker.
  virtual Result<bool> replace(ByteView document, const std::string& version) = 0;
};

/// Written atomically, readable by its owner alone. Writers of one machine are kept apart by FILE.lock.
std::unique_ptr<KeyPlace> make_key_file(std::filesystem::path file);

/// The object "access/keys.json".
std::unique_ptr<KeyPlace> make_key_object(std::shared_ptr<ObjectStore> store);

}  // namespace imgrec
