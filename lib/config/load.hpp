// From defaults, a file, the environment and flags to one Config that remembers where each value came from.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

using Environment = std::map<std::string, std::string>;

struct FlagValue {
  std::string key;   // of the setting
  std::string flag;  // "--port": for messages
  std::string value;
};

struct ConfigSources {
  std::optional<std::filesystem::path> file;  // --config; without it IMGREC_CONFIG of the environment
  Environment environment;
  std::vector<FlagValue> flags;
};

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string> origins;  // key → "imgrec.toml:3", "env IMGREC_WEB_PORT", "flag --port"

  /// "default" when nothing else set it.
  std::string origin(const std::string& key) const;
};

/// flag > environment > file > default. A value is checked even where a stronger source replaces it. Errors, all
/// invalid: "unknown_setting" (names the nearest), "bad_setting" (setting, origin, value, what is allowed),
/// "bad_config_file" (file:line); a file that cannot be read as of read_file().
Result<LoadedConfig> load_config(const ConfigSources& sources);

}  // namespace imgrec
