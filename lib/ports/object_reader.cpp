#include "lib/ports/object_reader.hpp"

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kVersionBytesMax = 1024;

std::unexpected<Error> bad(std::string what) {
  return fail(ErrorKind::invalid, "bad_object_reference", std::move(what));
}

bool is_small_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_bucket(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && is_small_letter_or_digit(name.front()) &&
         is_small_letter_or_digit(name.back()) && name.find("..") == name.npos &&
         std::ranges::all_of(name, [](char c) { return is_small_letter_or_digit(c) || c == '-' || c == '.'; });
}

}  // namespace

Result<void> check_object_reference(const ObjectReference& object) {
  if (!is_bucket(object.bucket)) {
    return bad(
        "A bucket's name has 3 to 63 small letters, digits, hyphens and dots, with a letter or digit at its ends.");
  }
  if (const auto checked = check_object_key(object.key.str()); !checked) {
    return bad("The key of the object cannot be used here: " + checked.error().message);
  }
  const bool is_version = object.version.size() <= kVersionBytesMax &&
                          std::ranges::all_of(object.version, [](char c) { return c > ' ' && c < 0x7F; });
  if (!is_version) return bad("The version of an object has at most 1024 printable characters and no spaces.");
  return {};
}

bool has_bucket(std::string_view buckets, std::string_view bucket) {
  return std::ranges::any_of(split(buckets, ','), [&](std::string_view one) { return trim(one) == bucket; });
}

}  // namespace imgrec
