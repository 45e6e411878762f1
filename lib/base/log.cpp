#include "lib/base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>
#include <mutex>

#include "lib/base/clock.hpp"
#include "lib/base/text.hpp"

namespace imgrec::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view name(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
  }
  return "info";
}

struct State {
  Options options;
  std::shared_ptr<spdlog::logger> logger;
  State() {
    logger = std::make_shared<spdlog::logger>("imgrec", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");  // the line is whole when it reaches spdlog, which adds the level gate, lock and sink
    logger->flush_on(spdlog::level::debug);
  }
};

State& state() {
  static State& instance = *new State;  // never destroyed: threads may log while the process exits
  return instance;
}

// logfmt: bare where a value has nothing that needs quoting, else a JSON string.
bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' ||
        static_cast<unsigned char>(c) >= 0x7F)
      return true;
  }
  return false;
}

void append_logfmt(std::string& line, std::string_view key, std::string_view value) {
  if (!line.empty()) line += ' ';
  line.append(key) += '=';
  if (needs_quotes(value))
    line += json_quote(value);
  else
    line += value;
}

}  // namespace

Field::Field(std::string_view key, double value) : key_(key) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  text_ = text;
  // JSON has no nan or inf.
  quoted_ = text_.find_first_of("ni") != std::string::npos;
}

void configure(const Options& options) {
  state().options = options;
  state().logger->set_level(to_spdlog(options.level));
}

bool enabled(Level level) {
  return state().logger->should_log(to_spdlog(level));
}

std::string format_line(Format format, Level level, std::string_view role, std::string_view message, Fields fields) {
  std::string line;
  if (format == Format::json) {
    line = "\"level\":" + json_quote(name(level));
    if (!role.empty()) line += ",\"role\":" + json_quote(role);
    line += ",\"msg\":" + json_quote(message);
    for (const Field& field : fields) {
      line += "," + json_quote(field.key()) + ":" + (field.quoted() ? json_quote(field.text()) : field.text());
    }
    return line + "}";
  }
  append_logfmt(line, "level", name(level));
  if (!role.empty()) append_logfmt(line, "role", role);
  append_logfmt(line, "msg", message);
  for (const Field& field : fields) append_logfmt(line, field.key(), field.text());
  return line;
}

void write(Level level, std::string_view message, Fields fields) {
  State& current = state();
  const auto spdlog_level = to_spdlog(level);
  if (!current.logger->should_log(spdlog_level)) return;
  const std::string time = to_rfc3339(system_clock().wall_now());
  const std::string line = format_line(current.options.format, level, current.options.role, message, fields);
  if (current.options.format == Format::json)
    current.logger->log(spdlog_level, "{{\"time\":\"{}\",{}", time, line);
  else
    current.logger->log(spdlog_level, "time={} {}", time, line);
}

Result<Level> parse_level(std::string_view text) {
  for (const Level level : {Level::debug, Level::info, Level::warning, Level::error}) {
    if (text == name(level)) return level;
  }
  return fail(ErrorKind::invalid, "bad_log_level", "A log level is debug, info, warning or error.");
}

Result<Format> parse_format(std::string_view text) {
  if (text == "text") return Format::text;
  if (text == "json") return Format::json;
  return fail(ErrorKind::invalid, "bad_log_format", "A log format is text or json.");
}

}  // namespace imgrec::log
