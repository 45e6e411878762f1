// JSON written from front to back into one string: requests whose bodies are large, and many.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/text.hpp"

namespace imgrec::aws {

/// One object: what is written is appended, so that names and values come in pairs and what begins has to end.
class JsonWriter {
 public:
  explicit JsonWriter(std::size_t bytes_expected) {
    text_.reserve(bytes_expected);
    text_ += '{';
  }
  /// Of the object that is open. Bytes that are no valid UTF-8 become U+FFFD.
  void text(std::string_view name, std::string_view value) {
    key(name);
    append_json_quoted(text_, value);
  }
  void number(std::string_view name, std::int64_t value) {
    key(name);
    text_ += std::to_string(value);
  }
  void texts(std::string_view name, std::span<const std::string_view> values) {
    begin_list(name);
    for (const std::string_view value : values) {
      separate();
      append_json_quoted(text_, value);
    }
    end_list();
  }
  void begin_list(std::string_view name) {
    key(name);
    text_ += '[';
  }
  void end_list() { text_ += ']'; }
  /// In a list.
  void begin_object() {
    separate();
    text_ += '{';
  }
  void begin_object(std::string_view name) {
    key(name);
    text_ += '{';
  }
  void end_object() { text_ += '}'; }
  /// The whole, once.
  std::string finish() {
    text_ += '}';
    return std::move(text_);
  }

 private:
  void separate() {
    if (text_.back() != '{' && text_.back() != '[') text_ += ',';
  }
  void key(std::string_view name) {
    separate();
    append_json_quoted(text_, name);
    text_ += ':';
  }

  std::string text_;
};

}  // namespace imgrec::aws
