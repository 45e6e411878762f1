// JSON written from front to back into one string: the service writes several documents for each image, and a tree of
// nodes for each would cost ten times as much.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec {

enum class JsonLayout {
  compact,   // one line, without spaces
  indented,  // two spaces for each level: for people
};

/// What is written is appended: a document is one object, one list or one value, and what begins has to end. In an
/// object, use the forms with a name; in a list, those without. Not thread-safe; nothing fails. Texts and names may
/// hold anything: bytes that are no valid UTF-8 become U+FFFD. Numbers that JSON does not have (NaN, infinity) become
/// null.
class JsonWriter {
 public:
  explicit JsonWriter(std::size_t bytes_expected = 256, JsonLayout layout = JsonLayout::compact);

  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& begin_object(std::string_view name) { return key(name).begin_value('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_list() { return begin('['); }
  JsonWriter& begin_list(std::string_view name) { return key(name).begin_value('['); }
  JsonWriter& end_list() { return end(']'); }

  /// A member of the object that is open. T: a text, bool, an integer or a floating-point number.
  template <class T>
  JsonWriter& member(std::string_view name, const T& value) {
    key(name).append(value);
    return *this;
  }
  /// An element of the list that is open.
  template <class T>
  JsonWriter& element(const T& value) {
    separate();
    append(value);
    return *this;
  }
  /// As above, with a value that is JSON already (such as a stored document). It is not checked.
  JsonWriter& member_json(std::string_view name, std::string_view json) {
    key(name).out_ += json;
    return *this;
  }
  JsonWriter& element_json(std::string_view json) {
    separate();
    out_ += json;
    return *this;
  }

  /// The document, once.
  std::string finish() { return std::move(out_); }

 private:
  JsonWriter& begin(char bracket) {
    separate();
    return begin_value(bracket);
  }
  JsonWriter& begin_value(char bracket);
  JsonWriter& end(char bracket);
  JsonWriter& key(std::string_view name);
  // What stands before a member or an element: a comma unless it is the first, and its line where lines are wanted.
  void separate();
  void new_line();

  template <class T>
  void append(const T& value) {
    if constexpr (std::same_as<T, bool>) {
      out_ += value ? "true" : "false";
    } else if constexpr (std::integral<T>) {
      append_digits(value);
    } else if constexpr (std::floating_point<T>) {
      if (std::isfinite(value))
        append_digits(value);
      else
        out_ += "null";
    } else {
      append_json_quoted(out_, std::string_view(value));
    }
  }
  template <class Number>
  void append_digits(Number value) {
    char digits[32];  // the shortest form that reads back as the same value has at most 24
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }

  std::string out_;
  const JsonLayout layout_;
  std::size_t depth_ = 0;
  bool is_first_ = true;
};

}  // namespace imgrec
