// Buckets of one machine: a folder of folders, each a bucket, with images as plain files below it.
//
//   bucket "photos", key "2026/cat.jpg"  →  ROOT/photos/2026/cat.jpg
//
// ROOT/photos may be a symbolic link to a folder elsewhere, which whoever runs the service makes. Below it no link is
// followed, so that nothing outside it can be read.
#pragma once

#include <filesystem>
#include <memory>

#include "lib/ports/object_reader.hpp"

namespace imgrec {

/// The folder need not be there yet: then no bucket is. A reference with a version is invalid "bad_object_reference".
std::unique_ptr<ObjectReader> make_folder_reader(std::filesystem::path root);

}  // namespace imgrec
