// Compiled models on disk, so that a process need not compile what another one did before.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/mapped_file.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// A folder of files that are written whole, carry the digest of their content, and belong to this user alone (0700).
/// It is a cache: whatever is wrong with it, the model is compiled again. The least used entries go first when there
/// are more than 8, or more than 1 GiB. Thread-compatible; several processes may use one folder.
class ModelCache {
 public:
  /// Empty: nothing is kept. The folder is made when something is stored; the one above it has to be there.
  explicit ModelCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  struct Entry {
    std::shared_ptr<const MappedFile> file;
    std::size_t offset = 0;  // where the content begins; a multiple of the page size
  };

  /// Nothing when there is none, when it is not this user's, or when it is damaged (it is removed then).
  std::optional<Entry> find(const std::string& key) const;

  /// Errors: denied "cache_unusable" when others could write to the folder; as write_file_atomic().
  Result<void> store(const std::string& key, ByteView content) const;

  /// An entry that could not be used.
  void remove(const std::string& key) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace imgrec
