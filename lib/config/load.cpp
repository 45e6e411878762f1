#include "lib/config/load.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "lib/base/file.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kFileBytesMax = kMiB;

std::string file_origin(const std::filesystem::path& file, toml::source_index line) {
  return file.string() + ":" + std::to_string(line);
}

// The setting whose flag has these words (IMGREC_PORT and port are web.port: --port), or else the nearest name.
std::string suggestion(const std::string& name, std::string words, std::string (*name_of)(const Setting&)) {
  words = "--" + to_lower(words);
  std::ranges::replace(words, '_', '-');
  std::vector<std::string> names;
  for (const Setting& setting : settings()) {
    if (std::ranges::find(setting.flags, words) != setting.flags.end()) return name_of(setting);
    names.push_back(name_of(setting));
  }
  return nearest(name, names);
}

std::unexpected<Error> unknown(const std::string& where, const std::string& name, const std::string& near) {
  return fail(ErrorKind::invalid, "unknown_setting",
              where + "there is no setting " + to_valid_utf8(name) +
                  (near.empty() ? "." : "; did you mean " + near + "?") + " `imgrec config show` lists all.");
}

Result<void> set(LoadedConfig& loaded, const Setting& setting, const std::string& value, const std::string& origin) {
  if (!setting.set(loaded.config, value)) {
    const std::string shown = setting.secret ? "what was given" : json_quote(value);
    return fail(ErrorKind::invalid, "bad_setting",
                setting.key + " cannot be " + shown + " (" + origin + "): give " + setting.allowed + ".");
  }
  loaded.origins[setting.key] = origin;
  return {};
}

// The text of a scalar as set() reads it; nothing for arrays, tables and dates.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  if (const auto* real = node.as_floating_point()) {
    std::ostringstream out;
    out << real->get();
    return out.str();
  }
  return std::nullopt;
}

// A list may be written as an array of strings; an element with a comma would become two.
std::optional<std::string> list_text(const toml::array& array) {
  std::string out;
  for (const auto& element : array) {
    const auto* text = element.as_string();
    if (text == nullptr || text->get().find(',') != std::string::npos) return std::nullopt;
    out += (out.empty() ? "" : ",") + text->get();
  }
  return out;
}

Result<void> apply_table(LoadedConfig& loaded, const toml::table& table, const std::filesystem::path& file,
                         const std::string& prefix) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    const std::string where = file_origin(file, name.source().begin.line);
    const Setting* setting = find_setting(key);
    if (setting == nullptr) {
      const auto* inner = node.as_table();
      if (inner != nullptr && prefix.empty() && !inner->empty()) {
        if (auto applied = apply_table(loaded, *inner, file, key + "."); !applied) return applied;
        continue;
      }
      if (inner != nullptr && inner->empty()) continue;
      return unknown(where + ": ", key, suggestion(key, key, [](const Setting& known) { return known.key; }));
    }
    const bool is_list = setting->value_name == "LIST" && node.is_array();
    const auto text = is_list ? list_text(*node.as_array()) : scalar_text(node);
    if (!text) {
      return fail(ErrorKind::invalid, "bad_setting",
                  key + " has no single value (" + where + "): give " + setting->allowed + ".");
    }
    if (auto done = set(loaded, *setting, *text, where); !done) return done;
  }
  return {};
}

Result<void> apply_file(LoadedConfig& loaded, const std::filesystem::path& file) {
  const auto text = read_file(file, kFileBytesMax);
  if (!text) return fail(text.error());
  try {
    return apply_table(loaded, toml::parse(*text, file.string()), file, "");
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::invalid, "bad_config_file",
                file_origin(file, error.source().begin.line) + ": " + std::string(error.description()) +
                    " (the file is TOML: configs/local.toml is a sample).");
  }
}

Result<void> apply_environment(LoadedConfig& loaded, const Environment& environment) {
  std::map<std::string, const Setting*> by_name;
  for (const Setting& setting : settings()) by_name[setting.environment_name()] = &setting;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("IMGREC_") || is_internal_variable(name)) continue;
    const auto known = by_name.find(name);
    if (known == by_name.end()) {
      const std::string words = name.substr(std::string_view("IMGREC_").size());
      return unknown("In the environment ", name,
                     suggestion(name, words, [](const Setting& other) { return other.environment_name(); }));
    }
    if (value.empty()) continue;
    if (auto done = set(loaded, *known->second, value, "env " + name); !done) return done;
  }
  return {};
}

}  // namespace

std::string LoadedConfig::origin(const std::string& key) const {
  const auto found = origins.find(key);
  return found == origins.end() ? "default" : found->second;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig loaded;
  auto file = sources.file;
  if (const auto named = sources.environment.find("IMGREC_CONFIG");
      !file && named != sources.environment.end() && !named->second.empty()) {
    file = named->second;
  }
  if (file) {
    if (auto done = apply_file(loaded, *file); !done) return fail(done.error());
  }
  if (auto done = apply_environment(loaded, sources.environment); !done) return fail(done.error());
  for (const FlagValue& flag : sources.flags) {
    const Setting* setting = find_setting(flag.key);
    if (setting == nullptr) return fail(ErrorKind::bug, "unknown_setting", "There is no setting " + flag.key + ".");
    if (auto done = set(loaded, *setting, flag.value, "flag " + flag.flag); !done) return fail(done.error());
  }
  if (auto valid = validate(loaded.config); !valid) return fail(valid.error());
  return loaded;
}

}  // namespace imgrec
