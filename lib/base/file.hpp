// Files read whole and written atomically.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// Errors: not_found, denied, transient "file_unreadable"; invalid "file_too_large" when it has more than bytes_max.
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t bytes_max);

enum class WriteMode { replace, only_if_absent };

/// Writes to a temporary name beside the target, fsyncs file and folder, and renames (or links, for only_if_absent):
/// readers see the whole file or none, also after a power cut. Returns false when only_if_absent found one there.
/// Errors: denied, transient "disk_full", transient "file_unwritable".
Result<bool> write_file_atomic(const std::filesystem::path& path, ByteView bytes, WriteMode mode);

}  // namespace imgrec
