#include "roles/load/predictions.hpp"

#include <vector>

#include "lib/base/text.hpp"

namespace imgrec::load {
namespace {

constexpr std::size_t kRowsMax = 10'000'000;

// The fields of the row that begins at `at`, which is moved behind its end; false when a quote is not closed.
bool take_row(std::string_view text, std::size_t& at, std::size_t& line, std::vector<std::string>& fields) {
  fields.assign(1, "");
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (quoted) {
      const bool is_doubled = c == '"' && at + 1 < text.size() && text[at + 1] == '"';
      if (is_doubled) ++at;
      if (c == '"' && !is_doubled) {
        quoted = false;
      } else {
        fields.back() += c;
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      fields.emplace_back();
    } else if (c == '\n') {
      ++at;
      return true;
    } else {
      fields.back() += c;
    }
  }
  return !quoted;
}

}  // namespace

Result<Predictions> Predictions::parse(const std::string& text, const std::string& shown) {
  std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;  // a byte order mark
  std::size_t line = 1, begin = 1;
  const auto bad = [&](const std::string& what) {
    return fail(ErrorKind::invalid, "bad_predictions", shown + ":" + std::to_string(begin) + ": " + what);
  };
  Predictions predictions;
  std::vector<std::string> fields;
  for (bool is_head = true; at < text.size(); is_head = false) {
    begin = line;
    if (!take_row(text, at, line, fields)) return bad("a quote is not closed.");
    if (is_head) {
      if (fields.size() < 2 || trim(fields[0]) != "Image" || trim(fields[1]) != "Results") {
        return bad("the file begins with the line \"Image,Results\".");
      }
      continue;
    }
    if (fields.size() == 1 && trim(fields[0]).empty()) continue;
    if (fields.size() < 2) return bad("a row has an image and its label.");
    if (predictions.labels_.size() == kRowsMax)
      return bad("there are more than " + std::to_string(kRowsMax) + " rows.");
    predictions.labels_.insert_or_assign(std::string(trim(fields[0])), std::string(trim(fields[1])));
  }
  if (predictions.labels_.empty()) return bad("there is no row.");
  return predictions;
}

std::string Predictions::label_of(const std::string& name) const {
  auto found = labels_.find(name);
  if (found == labels_.end()) found = labels_.find(name.substr(0, name.find('.')));
  return found == labels_.end() ? "" : found->second;
}

}  // namespace imgrec::load
