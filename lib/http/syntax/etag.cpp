#include "lib/http/syntax/etag.hpp"

#include "lib/base/text.hpp"

namespace imgrec {

namespace {

std::string_view without_weakness(std::string_view tag) {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

}  // namespace

// No entity tag of this service has a comma in it.
bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  for (std::string_view tag : split(if_none_match, ',')) {
    tag = trim(tag);
    if (tag == "*") return true;
    if (!tag.empty() && without_weakness(tag) == without_weakness(etag)) return true;
  }
  return false;
}

}  // namespace imgrec
