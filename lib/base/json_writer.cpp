#include "lib/base/json_writer.hpp"

#include <utility>

namespace imgrec {

JsonWriter::JsonWriter(std::size_t bytes_expected, JsonLayout layout) : layout_(layout) {
  out_.reserve(bytes_expected);
}

JsonWriter& JsonWriter::begin_value(char bracket) {
  out_ += bracket;
  ++depth_;
  is_first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(char bracket) {
  --depth_;
  if (!std::exchange(is_first_, false)) new_line();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  append_json_quoted(out_, name);
  out_ += layout_ == JsonLayout::indented ? ": " : ":";
  return *this;
}

void JsonWriter::separate() {
  if (!std::exchange(is_first_, false)) out_ += ',';
  if (depth_ > 0) new_line();
}

void JsonWriter::new_line() {
  if (layout_ == JsonLayout::compact) return;
  out_ += '\n';
  out_.append(2 * depth_, ' ');
}

}  // namespace imgrec
