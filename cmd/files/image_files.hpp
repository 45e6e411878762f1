// Which files `imgrec classify` works on.
#pragma once

#include <functional>
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
/// on_left_out: called for each other entry that is no image.
std::vector<ImageFile> find_image_files(const std::vector<std::string>& arguments,
                                        const std::function<void(const std::string& path)>& on_left_out = {});

}  // namespace imgrec
