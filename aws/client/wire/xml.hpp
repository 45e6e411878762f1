// XML as AWS sends it, as a plain tree (pugixml reads it: no DTDs, no entities but the five, so nothing expands).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec::aws {

struct XmlElement {
  std::string name;  // without the namespace's prefix
  std::string text;  // its own text, as it is
  std::vector<XmlElement> children;

  /// The first child with that name; null when there is none.
  const XmlElement* child(std::string_view child_name) const;
  /// The child of the child …; null as soon as one is missing.
  const XmlElement* at(std::initializer_list<std::string_view> path) const;
  std::vector<const XmlElement*> all(std::string_view child_name) const;
  /// The text of the child; empty when there is none.
  std::string value(std::string_view child_name) const;
};

/// The root element. Errors: transient "bad_response" (cut off on the way, or not AWS that answered).
Result<XmlElement> parse_xml(ByteView bytes);

/// Text for between tags or in an attribute. Characters that XML 1.0 cannot carry are written as references, which S3
/// reads.
std::string xml_escape(std::string_view text);

}  // namespace imgrec::aws
