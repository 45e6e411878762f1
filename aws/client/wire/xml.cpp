#include "aws/client/wire/xml.hpp"

#include <pugixml.hpp>

namespace imgrec::aws {
namespace {

constexpr int kDepthMax = 32;  // AWS's deepest answers (DescribeInstances) have about 8

std::string_view local_name(std::string_view name) {
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

bool copy(const pugi::xml_node& from, XmlElement& to, int depth) {
  if (depth > kDepthMax) return false;
  to.name = local_name(from.name());
  for (const pugi::xml_node& node : from.children()) {
    if (node.type() == pugi::node_element) {
      if (!copy(node, to.children.emplace_back(), depth + 1)) return false;
    } else if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) {
      to.text += node.value();
    }
  }
  return true;
}

std::unexpected<Error> bad_response(std::string_view why) {
  return fail(ErrorKind::transient, "bad_response",
              "The answer is no XML that AWS would send (" + std::string(why) + ").");
}

}  // namespace

const XmlElement* XmlElement::child(std::string_view child_name) const {
  for (const XmlElement& one : children) {
    if (one.name == child_name) return &one;
  }
  return nullptr;
}

const XmlElement* XmlElement::at(std::initializer_list<std::string_view> path) const {
  const XmlElement* here = this;
  for (const std::string_view step : path) {
    here = here->child(step);
    if (here == nullptr) return nullptr;
  }
  return here;
}

std::vector<const XmlElement*> XmlElement::all(std::string_view child_name) const {
  std::vector<const XmlElement*> out;
  for (const XmlElement& one : children) {
    if (one.name == child_name) out.push_back(&one);
  }
  return out;
}

std::string XmlElement::value(std::string_view child_name) const {
  const XmlElement* found = child(child_name);
  return found == nullptr ? "" : found->text;
}

Result<XmlElement> parse_xml(ByteView bytes) {
  pugi::xml_document document;
  // White space that is an element's only content is content: an object's key may be a space.
  const auto parsed = document.load_buffer(bytes.data(), bytes.size(),
                                           pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) return bad_response(parsed.description());
  XmlElement root;
  if (!copy(document.document_element(), root, 0)) return bad_response("nested too deeply");
  if (root.name.empty()) return bad_response("no element");
  return root;
}

std::string xml_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "&#" + std::to_string(static_cast<int>(c)) + ";";
        } else {
          out += c;
        }
    }
  }
  return out;
}

}  // namespace imgrec::aws
