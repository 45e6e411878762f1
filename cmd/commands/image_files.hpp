// Which files `imgrec classify` works on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec {

struct ImageFile {
  std::string path;                 // "-": standard input
  std::optional<Error> unreadable;  // a folder that cannot be listed, a file that is not there
};

/// Files as they are; folders searched recursively, entries in byte order of their names, taking what begins like an
/// image or is named like one. Hidden entries and links to folders are left out of a search.
std::vector<ImageFile> find_image_files(const std::vector<std::string>& arguments);

}  // namespace imgrec
