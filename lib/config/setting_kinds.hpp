// The kinds of values that settings have. For the tables of settings alone: settings.cpp and settings_aws.cpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lib/base/text.hpp"
#include "lib/config/settings.hpp"
#include "lib/config/values.hpp"

namespace imgrec::setting_kinds {

// Where a value lies in Config: config.*section.*member.
template <class Section, class T>
struct In {
  Section Config::* section;
  T Section::* member;
  T& operator()(Config& config) const { return config.*section.*member; }
  const T& operator()(const Config& config) const { return config.*section.*member; }
};
struct AtTop {
  std::string Config::* member;
  std::string& operator()(Config& config) const { return config.*member; }
  const std::string& operator()(const Config& config) const { return config.*member; }
};

struct Words {
  std::string key, help;
  std::vector<std::string> short_flags = {};
  unsigned commands = 0;
};

template <class N>
struct Range {
  N min, max;
  bool has(N value) const { return value >= min && value <= max; }
};

inline Setting begin(const Words& words) {
  Setting setting;
  setting.key = words.key;
  setting.help = words.help;
  setting.commands = words.commands;
  setting.flags = words.short_flags;
  std::string derived = "--" + words.key;
  std::ranges::replace_if(derived, [](char c) { return c == '.' || c == '_'; }, '-');
  if (std::ranges::find(setting.flags, derived) == setting.flags.end()) setting.flags.push_back(derived);
  return setting;
}

inline Setting number(const Words& words, auto at, Range<std::int64_t> range) {
  Setting setting = begin(words);
  setting.value_name = "NUMBER";
  setting.allowed = "a whole number from " + std::to_string(range.min) + " to " + std::to_string(range.max);
  setting.get = [at](const Config& config) { return std::to_string(at(config)); };
  setting.set = [at, range](Config& config, std::string_view text) {
    const auto value = parse_whole(text);
    if (!value || !range.has(*value)) return false;
    at(config) = static_cast<std::remove_cvref_t<decltype(at(config))>>(*value);
    return true;
  };
  return setting;
}

inline Setting size(const Words& words, auto at, Range<std::uint64_t> range) {
  Setting setting = begin(words);
  setting.value_name = "SIZE";
  setting.allowed = "a size from " + format_size(range.min) + " to " + format_size(range.max) +
                    " (such as 20MiB, 512KiB or 5MB; a plain number is bytes)";
  setting.get = [at](const Config& config) { return format_size(at(config)); };
  setting.set = [at, range](Config& config, std::string_view text) {
    const auto value = parse_size(text);
    if (!value || !range.has(*value)) return false;
    at(config) = *value;
    return true;
  };
  return setting;
}

// A duration of whole seconds where Config keeps Seconds.
inline Setting duration(const Words& words, auto at, Range<Millis> range) {
  Setting setting = begin(words);
  setting.value_name = "DURATION";
  setting.allowed = "a duration from " + format_duration(range.min) + " to " + format_duration(range.max) +
                    " (such as 500ms, 30s, 15m or 7d; a plain number is seconds)";
  setting.get = [at](const Config& config) { return format_duration(at(config)); };
  setting.set = [at, range](Config& config, std::string_view text) {
    using Unit = std::remove_cvref_t<decltype(at(config))>;
    const auto value = parse_duration(text);
    if (!value || !range.has(*value) || *value % Millis(Unit(1)) != Millis(0)) return false;
    at(config) = std::chrono::duration_cast<Unit>(*value);
    return true;
  };
  return setting;
}

// A duration, or a range of them.
inline Setting duration_range(const Words& words, auto at, Millis max) {
  Setting setting = begin(words);
  setting.value_name = "DURATION[..DURATION]";
  setting.allowed = "a duration up to " + format_duration(max) + ", or a range of them (such as 10s or 8s..15s)";
  setting.get = [at](const Config& config) { return format_duration_range(at(config)); };
  setting.set = [at, max](Config& config, std::string_view text) {
    const auto value = parse_duration_range(text);
    if (!value || value->max > max) return false;
    at(config) = *value;
    return true;
  };
  return setting;
}

// A number from 0 to `max`, with a fraction. Words of help: `value_name` and `allowed`.
struct RealRule {
  const char* value_name;
  const char* allowed;
  double max;
};

inline Setting real(const Words& words, auto at, const RealRule& rule) {
  Setting setting = begin(words);
  setting.value_name = rule.value_name;
  setting.allowed = rule.allowed;
  setting.get = [at](const Config& config) { return format_fraction(at(config)); };
  setting.set = [at, max = rule.max](Config& config, std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= max)) return false;
    at(config) = value;
    return true;
  };
  return setting;
}

inline Setting fraction(const Words& words, auto at) {
  return real(words, at, {"FRACTION", "a number from 0 to 1 (such as 0.98)", 1});
}

inline Setting boolean(const Words& words, auto at) {
  Setting setting = begin(words);
  setting.is_switch = true;
  setting.allowed = "true or false";
  setting.get = [at](const Config& config) { return std::string(at(config) ? "true" : "false"); };
  setting.set = [at](Config& config, std::string_view text) {
    const std::string value = to_lower(trim(text));
    if (value != "true" && value != "false" && value != "1" && value != "0") return false;
    at(config) = value == "true" || value == "1";
    return true;
  };
  return setting;
}

struct TextRule {
  std::string value_name, allowed;
  bool (*accepts)(std::string_view text);
};

inline Setting text(const Words& words, auto at, const TextRule& rule) {
  Setting setting = begin(words);
  setting.value_name = rule.value_name;
  setting.allowed = rule.allowed;
  setting.get = [at](const Config& config) { return at(config); };
  setting.set = [at, accepts = rule.accepts](Config& config, std::string_view value) {
    if (!accepts(value)) return false;
    at(config) = std::string(value);
    return true;
  };
  return setting;
}

inline bool is_one_line(std::string_view text) {
  return text.size() <= 4096 &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

inline bool is_plain(std::string_view text, std::string_view also) {
  return std::ranges::all_of(text, [also](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.find(c) != also.npos;
  });
}

inline bool is_name(std::string_view text, std::size_t length_max) {
  return text.size() <= length_max && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
         });
}

inline const TextRule kPath = {"PATH", "a path on one line", is_one_line};
inline const TextRule kAddress = {"ADDRESS", "an IPv4 or IPv6 address", [](std::string_view value) {
                                    return !value.empty() &&
                                           value.find_first_not_of("0123456789abcdefABCDEF.:") == value.npos;
                                  }};
inline const TextRule kWord = {"NAME", "up to 64 of the characters A-Z a-z 0-9 - _ .",
                               [](std::string_view value) { return is_name(value, 64); }};
inline const TextRule kFilledWord = {"NAME", "1 to 64 of the characters A-Z a-z 0-9 - _ .",
                                     [](std::string_view value) { return !value.empty() && is_name(value, 64); }};
inline bool is_key(std::string_view value) {
  return value.size() <= 256 && is_plain(value, "-_./") && !value.starts_with("/") && value.find("//") == value.npos &&
         value.find("..") == value.npos;
}
inline const TextRule kPrefix = {
    "PREFIX", "parts of A-Z a-z 0-9 - _ . that each end with a slash (such as team/imgrec/)",
    [](std::string_view value) { return value.empty() || (is_key(value) && value.ends_with("/")); }};
// SQS: up to 80 characters of A-Z a-z 0-9 - _ (and .fifo at the end).
inline const TextRule kQueueName = {"NAME", "1 to 80 of the characters A-Z a-z 0-9 - _", [](std::string_view value) {
                                      return !value.empty() && is_name(value, 80) && value.find('.') == value.npos;
                                    }};

}  // namespace imgrec::setting_kinds
