// What answers of the service have in common for those who read them.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace imgrec::load {

/// The text of that member; empty where there is none.
inline std::string text_of(const simdjson::dom::element& object, std::string_view name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

}  // namespace imgrec::load
