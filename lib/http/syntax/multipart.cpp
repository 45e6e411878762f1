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

/// How a quoted value is read. Senders disagree about a quote inside: WHATWG (browsers, curl since 7.81, urllib3 2)
/// writes %22 and leaves backslashes alone; older curl and urllib3 write \" and \\, so a backslash escapes only those
/// two; others leave the quote as it is.
struct Quoting {
  bool backslash_escapes = true;
  bool quotes_inside = false;
};

// After a value: nothing, or a semicolon and (but for a trailing one) `name=`.
bool ends_value(std::string_view rest) {
  rest = trim_ows(rest);
  if (rest.empty()) return true;
  if (rest.front() != ';') return false;
  rest = trim_ows(rest.substr(1));
  const auto equals = rest.find('=');
  return rest.empty() || (equals != std::string_view::npos && is_token(trim_ows(rest.substr(0, equals))));
}

// `name=` without the semicolon that belongs before it.
bool lacks_semicolon(std::string_view rest) {
  const auto equals = rest.find('=');
  return rest.starts_with(' ') && equals != std::string_view::npos && is_token(trim_ows(rest.substr(0, equals)));
}

// Returns the length of the quoted string with its quotes, or 0 when it does not end.
std::size_t read_quoted(std::string_view text, Quoting quoting, std::string& value) {
  value.clear();
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (quoting.backslash_escapes && text[i] == '\\' && (next == '"' || next == '\\')) {
      value += next;
      ++i;
    } else if (text[i] == '"') {
      const auto rest = text.substr(i + 1);
      if (ends_value(rest)) return i + 1;
      if (!quoting.quotes_inside || lacks_semicolon(rest)) return 0;
      value += '"';
    } else {
      value += text[i];
    }
  }
  return 0;
}

// The readings are tried in this order, as each later one takes what an earlier one understands for something else: a
// browser's name that ends in a backslash (filename="a\"), and quotes that are not escaped (filename="a "b" c").
std::size_t read_quoted(std::string_view text, std::string& value) {
  for (const bool quotes_inside : {false, true}) {
    for (const bool backslash_escapes : {true, false}) {
      const Quoting quoting{.backslash_escapes = backslash_escapes, .quotes_inside = quotes_inside};
      if (const auto length = read_quoted(text, quoting, value); length > 0) return length;
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
      const auto length = read_quoted(text, parameter.value);
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

// Fills in what it can read before an error.
Result<void> read_part_headers(std::string_view block, std::string_view line_break, FormPart& part) {
  bool has_disposition = false;
  while (!block.empty()) {
    const auto end = std::min(block.find(line_break), block.size());
    const auto line = block.substr(0, end);
    block.remove_prefix(std::min(end + line_break.size(), block.size()));
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
      if (auto read = read_disposition(value, part); !read) return read;
    } else if (equals_ignoring_case(name, "content-type")) {
      part.content_type = std::string(value);
    } else if (equals_ignoring_case(name, "content-transfer-encoding") && !equals_ignoring_case(value, "binary") &&
               !equals_ignoring_case(value, "8bit") && !equals_ignoring_case(value, "7bit")) {
      return bad("A part has a Content-Transfer-Encoding; send it as plain bytes (RFC 7578, section 4.7).");
    }
  }
  if (!has_disposition) return bad("A part has no Content-Disposition header.");
  return {};
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
  // RFC 2046, section 5.1.1, allows 70 of fewer characters (bchars); clients use others, such as $ and *.
  const auto is_allowed = [](char c) { return c >= ' ' && c < 0x7F && c != '"'; };
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

DelimiterEnd read_delimiter_end(ByteView rest, std::string_view line_break) {
  if (rest.starts_with("--")) return {DelimiterEnd::Kind::final, 2};
  const auto end = rest.find_first_not_of(" \t");  // transport padding
  if (end != ByteView::npos && rest.substr(end).starts_with(line_break)) {
    return {DelimiterEnd::Kind::part, end + line_break.size()};
  }
  return {DelimiterEnd::Kind::data};
}

// Scripts write lines that end in LF alone. The first delimiter line decides for the whole form, so that an image whose
// bytes only look like a line break before the boundary keeps them.
std::string_view line_break_of(ByteView body, std::string_view dashed_boundary) {
  std::size_t found = body.starts_with(dashed_boundary) ? 0 : body.find("\n" + std::string(dashed_boundary));
  if (found == ByteView::npos) return "\r\n";
  if (found > 0) ++found;
  const auto rest = body.substr(found + dashed_boundary.size());
  const auto end = rest.find_first_not_of(" \t");
  return end != ByteView::npos && rest[end] == '\n' ? "\n" : "\r\n";
}

class FormReader {
 public:
  FormReader(ByteView body, const std::string& boundary, const MultipartLimits& limits)
      : body_(body),
        limits_(limits),
        line_break_(line_break_of(body, "--" + boundary)),
        delimiter_(std::string(line_break_) + "--" + boundary) {}

  Result<std::vector<FormPart>> read() {
    while (true) {
      // The first delimiter may stand at the very beginning, without the line break that belongs to all others.
      const std::string_view first_delimiter = std::string_view(delimiter_).substr(line_break_.size());
      const bool at_start = search_from_ == 0 && body_.starts_with(first_delimiter);
      const auto found = at_start ? 0 : body_.find(delimiter_, search_from_);
      if (found == ByteView::npos) {
        return bad("The body has no final boundary: it was cut off, or the boundary differs.");
      }
      const auto after = found + (at_start ? first_delimiter.size() : delimiter_.size());
      const auto end = read_delimiter_end(body_.substr(after), line_break_);
      search_from_ = after;
      if (end.kind == DelimiterEnd::Kind::data) continue;
      close_part(found);
      if (end.kind == DelimiterEnd::Kind::final) return finish();
      if (parts_.size() >= limits_.parts_max) {
        return fail(
            ErrorKind::invalid, "too_many_parts",
            "The form has more than " + std::to_string(limits_.parts_max) + " parts; send them in several requests.");
      }
      open_part(after + end.length);
    }
  }

 private:
  void open_part(std::size_t begin) {
    open_ = FormPart{};
    search_from_ = body_begin_ = begin;
    const std::string empty_line = std::string(line_break_) + std::string(line_break_);
    const auto window = body_.substr(begin, limits_.part_header_bytes_max + empty_line.size());
    const bool has_headers = !window.starts_with(line_break_);
    const auto length = has_headers ? window.find(empty_line) : 0;
    // Headers that do not end must not take in the next part.
    if (length == ByteView::npos || window.substr(0, length).find(delimiter_) != ByteView::npos) {
      open_->error = bad("A part's headers do not end, or are too long.").error();
      return;
    }
    if (auto read = read_part_headers(window.substr(0, length), line_break_, *open_); !read) {
      open_->error = std::move(read.error());
    }
    search_from_ = body_begin_ = begin + length + (has_headers ? empty_line.size() : line_break_.size());
  }

  void close_part(std::size_t end) {
    if (!open_) return;
    open_->body = body_.substr(body_begin_, open_->error ? 0 : end - body_begin_);
    parts_.push_back(std::move(*open_));
    open_.reset();
  }

  // A form of which nothing can be read is no form.
  Result<std::vector<FormPart>> finish() {
    const bool unreadable =
        !parts_.empty() && std::all_of(parts_.begin(), parts_.end(), [](const FormPart& p) { return !!p.error; });
    if (unreadable) return fail(*parts_.front().error);
    return std::move(parts_);
  }

  const ByteView body_;
  const MultipartLimits& limits_;
  const std::string_view line_break_;
  const std::string delimiter_;
  std::vector<FormPart> parts_;
  std::optional<FormPart> open_;  // the part whose body is being read
  std::size_t body_begin_ = 0;    // of that part
  std::size_t search_from_ = 0;
};

}  // namespace

Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, ByteView body,
                                              const MultipartLimits& limits) {
  const auto boundary = read_boundary(content_type);
  if (!boundary) return fail(boundary.error());
  return FormReader(body, *boundary, limits).read();
}

std::optional<std::string> disposition_filename(std::string_view content_disposition) {
  const auto parameters =
      read_parameters(content_disposition.substr(std::min(content_disposition.find(';'), content_disposition.size())));
  if (!parameters) return std::nullopt;
  if (const auto* extended = find(*parameters, "filename*")) {
    if (auto decoded = read_extended(*extended); decoded && *decoded) return *std::move(*decoded);
  }
  if (const auto* filename = find(*parameters, "filename")) return *filename;
  return std::nullopt;
}

}  // namespace imgrec
