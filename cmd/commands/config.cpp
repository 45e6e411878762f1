// imgrec config show
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"

namespace imgrec {
namespace {

nlohmann::ordered_json json_value(const Setting& setting, const std::string& shown) {
  if (setting.is_switch) return shown == "true";
  if (setting.value_name == "NUMBER" && !setting.secret) return std::stoll(shown);
  if (setting.value_name == "FRACTION") return nlohmann::ordered_json::parse(shown);
  return shown;
}

std::string settings_json(const LoadedConfig& loaded) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const Setting& setting : settings()) {
    all[setting.key] = {{"value", json_value(setting, shown_value(setting, loaded.config))},
                        {"origin", loaded.origin(setting.key)},
                        {"environment", setting.environment_name()},
                        {"flags", setting.flags},
                        {"allowed", setting.allowed},
                        {"help", setting.help}};
  }
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string settings_table(const LoadedConfig& loaded) {
  std::size_t key_width = 0, value_width = 0;
  for (const Setting& setting : settings()) {
    key_width = std::max(key_width, setting.key.size());
    value_width = std::max(value_width, std::min<std::size_t>(shown_value(setting, loaded.config).size(), 40));
  }
  std::string out;
  for (const Setting& setting : settings()) {
    std::string line = setting.key;
    line.resize(std::max(line.size(), key_width) + 2, ' ');
    line += shown_value(setting, loaded.config);
    line.resize(std::max(line.size(), key_width + 2 + value_width) + 2, ' ');
    out += line + loaded.origin(setting.key) + "\n";
  }
  return out;
}

int run_config_show(const Invocation& call) {
  const std::string out = call.has("--json") ? settings_json(call.loaded) : settings_table(call.loaded);
  print(out);
  return kExitOk;
}

}  // namespace

Command config_show_command() {
  return {.name = "config show",
          .summary = "Print every setting with its value and where that came from",
          .settings = kConfigCommand,
          .examples = {{"imgrec config show", "a table"},
                       {"imgrec config show --config configs/local.toml --port 9000", "what these would amount to"},
                       {"imgrec config show --json", "for programs"}},
          .options = {{"--json", "", "an object by key: value, origin, environment name, flags"}},
          .notes = "Secrets are masked.",
          .run = run_config_show};
}

}  // namespace imgrec
