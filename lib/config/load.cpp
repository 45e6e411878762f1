#include "lib/config/load.hpp"

#include <toml++/toml.h>

#include <sstream>

#include "lib/base/file.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kFileBytesMax = kMiB;

std::string file_origin(const std::filesystem::path& file, toml::source_index line) {
  return file.string() + ":" + std::to_string(line);
}

// The candidate that continues the text (IMGREC_MODEL → IMGREC_MODEL_NAME), or ends with it, or else the nearest.
std::string suggestion(const std::string& text, const std::vector<std::string>& candidates) {
  if (std::string near = nearest(text, candidates); !near.empty()) return near;
  for (const std::string& candidate : candidates) {
    if (text.size() >= 3 && (candidate.starts_with(text) || candidate.ends_with("." + text))) return candidate;
  }
  return {};
}

std::unexpected<Error> unknown(const std::string& where, const std::string& name,
                               const std::vector<std::string>& candidates) {
  const std::string near = suggestion(name, candidates);
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
      std::vector<std::string> keys;
      for (const Setting& known : settings()) keys.push_back(known.key);
      return unknown(where + ": ", key, keys);
    }
    const auto text = scalar_text(node);
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
  std::vector<std::string> names;
  for (const Setting& setting : settings()) {
    by_name[setting.environment_name()] = &setting;
    names.push_back(setting.environment_name());
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("IMGREC_") || is_internal_variable(name)) continue;
    const auto known = by_name.find(name);
    if (known == by_name.end()) return unknown("In the environment ", name, names);
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
