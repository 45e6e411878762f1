// Structured log lines on stderr: key=value by default, or JSON. Never log a body, a secret or a whole image name
// without this module: it escapes control characters, so that no client can forge a line.
//   log::info("job done", {{"job", id}, {"ms", 12.5}});
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"

namespace imgrec::log {

enum class Level { debug, info, warning, error };
enum class Format { text, json };

struct Options {
  Level level = Level::info;
  Format format = Format::text;
  std::string role;  // written with every line as role=…; empty: left out
};

/// Applies to the whole process; call it before threads start. Without it: info, text.
void configure(const Options& options);

class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), text_(value), quoted_(true) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  template <class Tag>
  Field(std::string_view key, const Id<Tag>& id) : Field(key, std::string_view(id.str())) {}
  Field(std::string_view key, bool value) : key_(key), text_(value ? "true" : "false") {}
  Field(std::string_view key, std::integral auto value) : key_(key), text_(std::to_string(value)) {}
  Field(std::string_view key, double value);

  std::string_view key() const { return key_; }
  const std::string& text() const { return text_; }
  bool quoted() const { return quoted_; }

 private:
  std::string key_;
  std::string text_;
  bool quoted_ = false;  // a JSON string rather than a number or a boolean
};

using Fields = std::initializer_list<Field>;

bool enabled(Level level);
void write(Level level, std::string_view message, Fields fields);
inline void debug(std::string_view message, Fields fields = {}) {
  write(Level::debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
  write(Level::info, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) {
  write(Level::warning, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
  write(Level::error, message, fields);
}

/// One line without its time stamp, as write() prints it: for tests.
std::string format_line(Format format, Level level, std::string_view role, std::string_view message, Fields fields);

/// "debug", "info", "warning" or "error"; else ErrorKind::invalid.
Result<Level> parse_level(std::string_view text);
/// "text" or "json"; else ErrorKind::invalid.
Result<Format> parse_format(std::string_view text);

}  // namespace imgrec::log
