#include "lib/http/syntax/multipart.hpp"

#include <algorithm>

#include "lib/http/syntax/syntax.hpp"

namespace imgrec {
namespace {

using http::equals_ignoring_case;
using http::is_token;
using http::trim_ows;

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "bad_multipart", std::move(message));
}

struct Parameter {
  std::string_view name;
  std::string value;
};

// Senders disagree about a quote in a quoted value: WHATWG (browsers, curl since 7.81, urllib3 2) writes %22 and leaves
// backslashes alone; older curl and urllib3 write \" and \\. So a backslash escapes only a quote or a backslash.
// Returns the length of the quoted string with its quotes, or 0 when it does not end.
std::size_t read_quoted(std::string_view text, bool backslash_escapes, std::string& value) {
  value.clear();
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (backslash_escapes && text[i] == '\\' && (next == '"' || next == '\\')) {
      value += next;
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    } else {
      value += text[i];
    }
  }
  return 0;
}

// `; name=value; name="value"` after a header's first word.
Result<std::vector<Parameter>> read_parameters(std::string_view text) {
  std::vector<Parameter> parameters;
  for (text = trim_ows(text); !text.empty(); text = trim_ows(text)) {
    if (text.front() != ';') return bad("A part header's parameters are not separated by semicolons.");
    text = trim_ows(text.substr(1));
    if (text.empty()) break;  // a trailing semicolon
    const auto equals = text.find('=');
    const auto name = trim_ows(text.substr(0, equals));
    if (equals == std::string_view::npos || !is_token(name)) return bad("A part header has a parameter without value.");
    text = trim_ows(text.substr(equals + 1));
    Parameter parameter{name, {}};
    if (!text.empty() && text.front() == '"') {
      auto length = read_quoted(text, true, parameter.value);
      // A browser's name that ends in a backslash: filename="a\".
      if (length == 0) length = read_quoted(text, false, parameter.value);
      if (length == 0) return bad("A quoted value in a part header has no closing quote.");
      text.remove_prefix(length);
    } else {
      const auto end = std::min(text.find(';'), text.size());
      parameter.value = std::string(trim_ows(text.substr(0, end)));
      text.remove_prefix(end);
    }
    if (std::any_of(parameters.begin(), parameters.end(),
                    [&](const Parameter& p) { return equals_ignoring_case(p.name, name); })) {
      return bad("A part header has the same parameter twice.");
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

const std::string* find(const std::vector<Parameter>& parameters, std::string_view name) {
  for (const auto& parameter : parameters) {
    if (equals_ignoring_case(parameter.name, name)) return &parameter.value;
  }
  return nullptr;
}

// The three escapes of the HTML standard (multipart/form-data encoding algorithm); any other % is itself.
std::string unescape_html5(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto escape = text.substr(i, 3);
    if (escape == "%22" || equals_ignoring_case(escape, "%0D") || equals_ignoring_case(escape, "%0A")) {
      plain += escape == "%22" ? '"' : escape[2] == 'D' || escape[2] == 'd' ? '\r' : '\n';
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string latin1_to_utf8(std::string_view text) {
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0 | (byte >> 6));
      utf8 += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return utf8;
}

// filename*=UTF-8'en'na%C3%AFve.jpg (RFC 8187). Nothing for a charset unknown to us: the plain filename counts then.
Result<std::optional<std::string>> read_extended(std::string_view text) {
  const auto charset_end = text.find('\'');
  const auto language_end = charset_end == std::string_view::npos ? charset_end : text.find('\'', charset_end + 1);
  if (language_end == std::string_view::npos) return bad("filename* is not of the form charset'language'value.");
  auto decoded = http::percent_decode(text.substr(language_end + 1));
  if (!decoded) return bad("filename* has a % that is not followed by two hex digits.");
  if (equals_ignoring_case(text.substr(0, charset_end), "utf-8")) return decoded;
  if (equals_ignoring_case(text.substr(0, charset_end), "iso-8859-1")) return latin1_to_utf8(*decoded);
  return std::nullopt;
}

Result<void> read_disposition(std::string_view value, FormPart& part) {
  const auto type = trim_ows(value.substr(0, value.find(';')));
  if (!equals_ignoring_case(type, "form-data")) return bad("A part's Content-Disposition is not form-data.");
  const auto parameters = read_parameters(value.substr(std::min(value.find(';'), value.size())));
  if (!parameters) return fail(parameters.error());
  const auto* name = find(*parameters, "name");
  if (name == nullptr) return bad("A part has no field name: Content-Disposition: form-data; name=\"…\" is needed.");
  part.name = unescape_html5(*name);
  if (const auto* filename = find(*parameters, "filename")) part.filename = unescape_html5(*filename);
  if (const auto* extended = find(*parameters, "filename*")) {
    auto decoded = read_extended(*extended);
    if (!decoded) return fail(decoded.error());
    if (*decoded) part.filename = std::move(**decoded);
  }
  return {};
}

Result<FormPart> read_part_headers(std::string_view block) {
  FormPart part;
  bool has_disposition = false;
  while (!block.empty()) {
    const auto end = std::min(block.find("\r\n"), block.size());
    const auto line = block.substr(0, end);
    block.remove_prefix(std::min(end + 2, block.size()));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return bad("A part header is not of the form Name: value.");
    }
    // Other control characters are a file name's own business: it is data.
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return bad("A part header has a line break or a NUL inside.");
    }
    const auto name = line.substr(0, colon);
    const auto value = trim_ows(line.substr(colon + 1));
    if (equals_ignoring_case(name, "content-disposition")) {
      if (has_disposition) return bad("A part has two Content-Disposition headers.");
      has_disposition = true;
      if (auto read = read_disposition(value, part); !read) return fail(read.error());
    } else if (equals_ignoring_case(name, "content-type")) {
      part.content_type = std::string(value);
    } else if (equals_ignoring_case(name, "content-transfer-encoding") && !equals_ignoring_case(value, "binary") &&
               !equals_ignoring_case(value, "8bit") && !equals_ignoring_case(value, "7bit")) {
      return bad("A part has a Content-Transfer-Encoding; send it as plain bytes (RFC 7578, section 4.7).");
    }
  }
  if (!has_disposition) return bad("A part has no Content-Disposition header.");
  return part;
}

Result<std::string> read_boundary(std::string_view content_type) {
  const auto semicolon = std::min(content_type.find(';'), content_type.size());
  if (!equals_ignoring_case(trim_ows(content_type.substr(0, semicolon)), "multipart/form-data")) {
    return fail(ErrorKind::invalid, "not_multipart", "The body is not multipart/form-data.");
  }
  const auto parameters = read_parameters(content_type.substr(semicolon));
  if (!parameters) return bad("The Content-Type header's parameters are malformed.");
  const auto* boundary = find(*parameters, "boundary");
  if (boundary == nullptr || boundary->empty()) {
    return bad("The Content-Type header has no boundary; let the HTTP library set that header.");
  }
  // RFC 2046, section 5.1.1: up to 70 characters of bchars.
  const auto is_allowed = [](char c) {
    return http::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
  };
  if (boundary->size() > 70 || !std::all_of(boundary->begin(), boundary->end(), is_allowed) ||
      boundary->back() == ' ') {
    return bad("The boundary in the Content-Type header is longer than 70 characters or has forbidden ones.");
  }
  return *boundary;
}

// What stands after "--boundary": the end of a delimiter line, of the whole, or of neither (then it is data).
struct DelimiterEnd {
  enum class Kind { part, final, data } kind;
  std::size_t length = 0;
};

DelimiterEnd read_delimiter_end(ByteView rest) {
  if (rest.starts_with("--")) return {DelimiterEnd::Kind::final, 2};
  const auto end = rest.find_first_not_of(" \t");  // transport padding
  if (end != ByteView::npos && rest.substr(end, 2) == "\r\n") return {DelimiterEnd::Kind::part, end + 2};
  return {DelimiterEnd::Kind::data};
}

}  // namespace

Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, ByteView body,
                                              const MultipartLimits& limits) {
  const auto boundary = read_boundary(content_type);
  if (!boundary) return fail(boundary.error());
  const std::string delimiter = "\r\n--" + *boundary;
  const std::string_view first_delimiter = std::string_view(delimiter).substr(2);

  std::vector<FormPart> parts;
  std::optional<FormPart> open;  // the part whose body is being read
  std::size_t body_begin = 0;    // of that part
  std::size_t search_from = 0;
  while (true) {
    // The first delimiter may stand at the very beginning, without the line break that belongs to all others.
    const bool at_start = search_from == 0 && !open && body.starts_with(first_delimiter);
    const auto found = at_start ? 0 : body.find(delimiter, search_from);
    if (found == ByteView::npos) return bad("The body has no final boundary: it was cut off, or the boundary differs.");
    const auto after = found + (at_start ? first_delimiter.size() : delimiter.size());
    const auto end = read_delimiter_end(body.substr(after));
    search_from = after;
    if (end.kind == DelimiterEnd::Kind::data) continue;
    if (open) {
      open->body = body.substr(body_begin, found - body_begin);
      parts.push_back(std::move(*open));
      open.reset();
    }
    if (end.kind == DelimiterEnd::Kind::final) return parts;
    if (parts.size() >= limits.parts_max) {
      return fail(
          ErrorKind::invalid, "too_many_parts",
          "The form has more than " + std::to_string(limits.parts_max) + " parts; send them in several requests.");
    }
    const auto headers_begin = after + end.length;
    const auto headers_end = body.substr(headers_begin, limits.part_header_bytes_max + 4).find("\r\n\r\n");
    if (headers_end == ByteView::npos) return bad("A part's headers do not end, or are too long.");
    auto part = read_part_headers(body.substr(headers_begin, headers_end));
    if (!part) return fail(part.error());
    open = std::move(*part);
    body_begin = headers_begin + headers_end + 4;
    search_from = body_begin;
  }
}

}  // namespace imgrec
