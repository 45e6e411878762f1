// The one table of settings. File keys, environment names, flags, `imgrec config show` and help are derived from it.
//
//   key          web.port            in a file:  [web]  port = 8000
//   environment  IMGREC_WEB_PORT     an empty variable counts as not set
//   flag         --web-port          and a short form where one comes naturally: --port
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// The commands that take a setting's flags; a bit each.
enum CommandBit : unsigned {
  kWebCommand = 1,
  kWorkerCommand = 2,
  kControllerCommand = 4,
  kLocalCommand = 8,
  kClassifyCommand = 16,
  kModelCommand = 32,
  kConfigCommand = 64,  // takes all of them
};

struct Setting {
  std::string key;                 // "web.port"
  std::string value_name;          // "NUMBER", "DURATION", "SIZE", "NAME"…: for help
  std::string allowed;             // "a whole number from 0 to 65535": for help and errors
  std::string help;                // a few words; what 0 or nothing means
  std::vector<std::string> flags;  // natural short forms first, the derived one (--web-port) last
  unsigned commands = 0;
  bool secret = false;
  bool is_switch = false;                              // a boolean: the flag alone means true
  std::function<std::string(const Config&)> get;       // in a form that set() reads back
  std::function<bool(Config&, std::string_view)> set;  // false: not allowed, nothing changed

  std::string environment_name() const;  // "IMGREC_WEB_PORT"
};

/// In the order of Config.
const std::vector<Setting>& settings();

/// Null when there is none with that key.
const Setting* find_setting(std::string_view key);

/// The flags of a setting that a command takes, the most natural one first; none when it does not concern that command.
/// For `imgrec config` those short forms are left out that mean different settings in different commands.
std::vector<std::string> flags_of(const Setting& setting, CommandBit command);

/// What config show and help may print: secrets are masked.
std::string shown_value(const Setting& setting, const Config& config);

/// True for IMGREC_* variables that are no settings: IMGREC_CONFIG, the ones between a parent and its child workers
/// (IMGREC_PARENT_FD, IMGREC_READY_FD), and those of builds and tests (IMGREC_BINARY, IMGREC_BUILD_DIR, IMGREC_SHARED,
/// IMGREC_REQUIRE_SHARED, IMGREC_TEST_*).
bool is_internal_variable(std::string_view name);

/// Rules between settings (each by itself is checked when it is set). Errors: invalid "bad_setting".
Result<void> validate(const Config& config);

}  // namespace imgrec
