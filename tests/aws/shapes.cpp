#include "tests/aws/shapes.hpp"

#include "aws/client/clock_skew.hpp"
#include "aws/client/sts.hpp"
#include "aws/client/uri.hpp"
#include "lib/base/base64.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws::test {
namespace {

using json = nlohmann::json;

std::string name_in(const json& member, const std::string& fallback) {
  return member.value("locationName", fallback);
}

std::string base64_decode(const std::string& text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned int bits = 0, count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = (bits << 6) | static_cast<unsigned int>(kLetters.find(c));
    count += 6;
    if (count >= 8) out += static_cast<char>((bits >> (count -= 8)) & 0xFF);
  }
  return out;
}

// For forms, labels, query strings and headers.
std::string text_of(const json& shape, const json& value) {
  const std::string type = shape.at("type");
  if (type == "timestamp") {
    const std::string format = shape.value("timestampFormat", "iso8601");
    if (format == "unixTimestamp") return value.dump();
    if (format == "rfc822" || shape.value("location", "") == "header") throw NotSpoken("no request of ours has a date");
    return to_rfc3339(WallTime(Seconds(value.get<std::int64_t>()))).substr(0, 19) + "Z";
  }
  if (type == "blob") return base64_encode(value.get<std::string>());
  if (value.is_string()) return value;
  return value.dump();
}

json seconds(WallTime time) {
  const auto since = time.time_since_epoch().count();
  return since % 1000 == 0 ? json(since / 1000) : json(static_cast<double>(since) / 1000);
}

}  // namespace

json Shapes::resolve(const json& reference) const {
  json out = shapes_.at(reference.at("shape").get<std::string>());
  out.update(reference);
  return out;
}

json Shapes::to_json(const json& reference, const json& value) const {
  const json shape = resolve(reference);
  const std::string type = shape.at("type");
  json out = value;
  if (type == "structure") {
    out = json::object();
    for (const auto& [name, one] : value.items()) {
      if (one.is_null()) continue;
      const json& member = shape.at("members").at(name);
      out[name_in(member, name)] = to_json(member, one);
    }
  } else if (type == "list") {
    for (json& one : out) one = to_json(shape.at("member"), one);
  } else if (type == "map") {
    for (auto& [name, one] : out.items()) one = to_json(shape.at("value"), one);
  } else if (type == "blob") {
    out = base64_encode(value.get<std::string>());
  }
  return out;
}

void Shapes::to_form(const json& reference, const json& value, const std::string& name, bool ec2,
                     QueryPairs& out) const {
  const json shape = resolve(reference);
  const std::string type = shape.at("type");
  const auto below = [&](const std::string& last) { return name.empty() ? last : name + "." + last; };
  // A flattened list's own name gives way to its members'.
  const auto renamed = [&](const json& member) {
    if (!member.contains("locationName")) return name;
    const std::size_t dot = name.rfind('.');
    return (dot == std::string::npos ? "" : name.substr(0, dot + 1)) + member["locationName"].get<std::string>();
  };
  if (type == "structure") {
    for (const auto& [key, one] : value.items()) {
      const json& member = shape.at("members").at(key);
      if (resolve(member).value("idempotencyToken", false)) throw NotSpoken("tokens are the caller's to give");
      std::string last = name_in(member, key);
      if (ec2) last = member.value("queryName", last);
      if (ec2 && !member.contains("queryName")) last[0] = static_cast<char>(std::toupper(last[0]));
      to_form(member, one, below(last), ec2, out);
    }
  } else if (type == "list") {
    const json& member = shape.at("member");
    const bool flat = ec2 || shape.value("flattened", false);
    const std::string prefix = ec2 ? name : flat ? renamed(member) : below(name_in(member, "member"));
    if (value.empty() && !ec2) out.emplace_back(name, "");
    for (std::size_t i = 0; i < value.size(); ++i) {
      to_form(member, value[i], prefix + "." + std::to_string(i + 1), ec2, out);
    }
  } else if (type == "map") {
    const std::string prefix = shape.value("flattened", false) ? name : below("entry");
    int at = 0;
    for (const auto& [key, one] : value.items()) {
      const std::string entry = prefix + "." + std::to_string(++at) + ".";
      out.emplace_back(entry + name_in(shape.at("key"), "key"), key);
      to_form(shape.at("value"), one, entry + name_in(shape.at("value"), "value"), ec2, out);
    }
  } else {
    out.emplace_back(name, text_of(shape, value));
  }
}

std::string Shapes::header_text(const json& shape, const json& value) const {
  if (shape.at("type") != "list") return text_of(shape, value);
  std::string out;
  const json member = resolve(shape.at("member"));
  for (const json& one : value) {
    std::string text = text_of(member, one);
    if (text.find_first_of(",\"") != std::string::npos) throw NotSpoken("no header of ours is a quoted list");
    out += (out.empty() ? "" : ", ") + text;
  }
  return out;
}

void Shapes::to_rest(const json& operation, const json& parameters, CallRequest& out) const {
  const std::string uri = operation.at("http").at("requestUri");
  std::string path = uri.substr(0, uri.find('?'));
  if (uri.find('?') != std::string::npos) out.query = parse_query_string(uri.substr(uri.find('?') + 1));
  out.method = operation.at("http").at("method");
  const json shape = operation.contains("input") ? resolve(operation.at("input")) : json::object();
  for (const auto& [name, value] : parameters.items()) {
    if (value.is_null()) continue;
    const json member = resolve(shape.at("members").at(name));
    const std::string location = member.value("location", ""), wire_name = name_in(member, name);
    if (location == "uri") {
      const std::string text = text_of(member, value);
      for (const bool greedy : {false, true}) {
        const std::string label = "{" + wire_name + (greedy ? "+}" : "}");
        if (const std::size_t at = path.find(label); at != std::string::npos) {
          path.replace(at, label.size(), uri_encode(text, greedy ? Slash::keep : Slash::encode));
        }
      }
    } else if (location == "querystring") {
      if (member.at("type") == "map") throw NotSpoken("no query string of ours is a map");
      const bool is_list = member.at("type") == "list";
      const json element = is_list ? resolve(member.at("member")) : member;
      for (const json& one : is_list ? value : json::array({value}))
        out.query.emplace_back(wire_name, text_of(element, one));
    } else if (location == "header") {
      if (!value.empty() || value.is_number() || value.is_boolean()) {
        out.headers.emplace_back(wire_name, header_text(member, value));
      }
    } else if (location == "headers") {
      for (const auto& [key, one] : value.items()) out.headers.emplace_back(wire_name + key, one.get<std::string>());
    } else if (shape.value("payload", "") == name && (member.at("type") == "blob" || member.at("type") == "string")) {
      out.body = value.get<std::string>();
      out.headers.emplace_back("Content-Type", member.at("type") == "blob" ? "application/octet-stream" : "text/plain");
    } else {
      throw NotSpoken("no XML documents but two fixed ones of S3 are written");
    }
  }
  out.path = path;
}

json Shapes::from_json(const json& reference, const json& value) const {
  const json shape = resolve(reference);
  const std::string type = shape.at("type");
  if (value.is_null()) return value;
  json out = value;
  if (type == "structure") {
    out = json::object();
    for (const auto& [name, member] : shape.at("members").items()) {
      const std::string wire_name = name_in(member, name);
      if (value.contains(wire_name) && !value[wire_name].is_null()) out[name] = from_json(member, value[wire_name]);
    }
  } else if (type == "list") {
    for (json& one : out) one = from_json(shape.at("member"), one);
  } else if (type == "map") {
    for (auto& [name, one] : out.items()) one = from_json(shape.at("value"), one);
  } else if (type == "blob") {
    out = base64_decode(value.get<std::string>());
  } else if (type == "timestamp" && value.is_string()) {
    out = scalar(shape, value.get<std::string>());
  }
  return out;
}

json Shapes::scalar(const json& shape, const std::string& text, const std::string& default_time) const {
  const std::string type = shape.at("type");
  if (type == "boolean") return text == "true";
  if (type == "blob") return base64_decode(text);
  if (type == "timestamp") {
    const std::string format = shape.value("timestampFormat", default_time);
    if (format == "unixTimestamp") return json::parse(text);
    const auto time = format == "rfc822" ? parse_http_date(text) : std::optional<WallTime>();
    if (time) return seconds(*time);
    const auto read = parse_expiry(text);
    if (!read) throw NotSpoken("no time that aws/ reads: " + text);
    return seconds(*read);
  }
  if (type == "string") return text;
  const json number = json::parse(trim(text), nullptr, false);
  return number.is_number() ? number : json(text);  // "NaN", "Infinity"
}

json Shapes::list_from_xml(const json& shape, const std::vector<const XmlElement*>& items) const {
  json out = json::array();
  for (const XmlElement* item : items) out.push_back(from_xml(shape.at("member"), *item));
  return out;
}

json Shapes::map_from_xml(const json& shape, const std::vector<const XmlElement*>& entries) const {
  json out = json::object();
  for (const XmlElement* entry : entries) {
    const XmlElement* value = entry->child(name_in(shape.at("value"), "value"));
    if (value == nullptr) continue;
    out[entry->value(name_in(shape.at("key"), "key"))] = from_xml(shape.at("value"), *value);
  }
  return out;
}

json Shapes::from_xml(const json& reference, const XmlElement& element) const {
  const json shape = resolve(reference);
  const std::string type = shape.at("type");
  if (type == "list") return list_from_xml(shape, element.all(name_in(shape.at("member"), "member")));
  if (type == "map") return map_from_xml(shape, element.all("entry"));
  if (type != "structure") return scalar(shape, element.text);
  json out = json::object();
  for (const auto& [name, given] : shape.at("members").items()) {
    const std::string location = given.value("location", "");
    if (location == "header" || location == "headers" || location == "statusCode") continue;
    const json member = resolve(given);
    if (member.value("xmlAttribute", false)) throw NotSpoken("no answer that is read here says anything in attributes");
    const std::string wire_name = name_in(given, name);
    if (member.value("flattened", false)) {
      const bool is_list = member.at("type") == "list";
      const auto items = element.all(is_list ? name_in(member.at("member"), wire_name) : wire_name);
      if (!items.empty()) out[name] = is_list ? list_from_xml(member, items) : map_from_xml(member, items);
    } else if (const XmlElement* child = element.child(wire_name.substr(wire_name.find(':') + 1))) {
      out[name] = from_xml(given, *child);
    }
  }
  return out;
}

json Shapes::from_rest(const json& reference, const HttpClientResponse& response) const {
  const json shape = resolve(reference);
  const std::string payload = shape.value("payload", "");
  json out = json::object();
  for (const auto& [name, given] : shape.at("members").items()) {
    const json member = resolve(given);
    const std::string location = member.value("location", ""), type = member.at("type");
    const std::string wire_name = to_lower(name_in(member, name));
    if (location == "statusCode") out[name] = response.status;
    if (location == "headers") out[name] = json::object();
    for (const auto& [header, value] : response.headers) {
      if (location == "header" && header == wire_name) {
        if (type != "list") {
          out[name] = scalar(member, value, "rfc822");
          continue;
        }
        const json element = resolve(member.at("member"));
        if (value.find('"') != std::string::npos || element.at("type") == "timestamp") {
          throw NotSpoken("no header that is read here is a list of times or quoted texts");
        }
        for (const std::string_view part : split(value, ','))
          out[name].push_back(scalar(element, std::string(trim(part))));
      } else if (location == "headers" && header.starts_with(wire_name)) {
        out[name][header.substr(wire_name.size())] = value;
      }
    }
    if (name != payload || response.body.empty()) continue;
    if (type == "blob" || type == "string") {
      out[name] = response.body;
    } else {
      out[name] = from_xml(given, parse_xml(response.body).value());
    }
  }
  if (payload.empty() && !response.body.empty()) {
    json body = from_xml(reference, parse_xml(response.body).value());
    out.update(body);
  }
  return out;
}

}  // namespace imgrec::aws::test
