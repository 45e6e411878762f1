// Puts requests together and reads answers as a service model describes them, out of what aws/ has for the wire: the
// part that code generated from the model would have, for the protocol suites.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "aws/client/call.hpp"
#include "aws/client/wire/xml.hpp"

namespace imgrec::aws::test {

/// The case needs something that aws/ has no code for.
struct NotSpoken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Shapes {
 public:
  using json = nlohmann::json;
  explicit Shapes(json shapes) : shapes_(std::move(shapes)) {}

  /// The shape that a reference names, with what the reference adds.
  json resolve(const json& reference) const;

  json to_json(const json& reference, const json& value) const;
  void to_form(const json& reference, const json& value, const std::string& name, bool ec2, QueryPairs& out) const;
  /// Label, query and header members, and a payload of plain bytes; other bodies are NotSpoken.
  void to_rest(const json& operation, const json& parameters, CallRequest& out) const;

  json from_json(const json& reference, const json& value) const;
  json from_xml(const json& reference, const XmlElement& element) const;
  json from_rest(const json& reference, const HttpClientResponse& response) const;

 private:
  json list_from_xml(const json& shape, const std::vector<const XmlElement*>& items) const;
  json map_from_xml(const json& shape, const std::vector<const XmlElement*>& entries) const;
  json scalar(const json& shape, const std::string& text, const std::string& default_time = "iso8601") const;
  std::string header_text(const json& shape, const json& value) const;

  const json shapes_;
};

}  // namespace imgrec::aws::test
