// How an object's key becomes names of folders and a file: reversible, safe for every legal key, and readable.
//
//   key "inputs/01ARZ3.jpg"    →  inputs+ / 01ARZ3.jpg
//   keys "a" and "a/b"         →  a,  a+ / b            (a folder's name ends with "+", so both can exist)
//   a part of 80 bytes or more →  its first 80 bytes, "++", and the rest below   (a file name has at most 255 bytes)
//   any byte but [A-Za-z0-9_.=,@-], and a dot at the beginning, is written as %XX; an empty rest is "%"
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec {

struct ObjectPath {
  std::vector<std::string> folders;
  std::string file;
};

/// Errors: invalid "bad_key", as lib/ports/object_store.hpp says.
Result<ObjectPath> object_path(std::string_view key);

struct ObjectNamePart {
  bool is_folder = false;
  std::string text;  // what the name adds to the key; for a folder that ends a part, with its "/"
};

/// The inverse for one name; nothing when object_path() never makes that name.
std::optional<ObjectNamePart> parse_object_name(std::string_view name);

}  // namespace imgrec
