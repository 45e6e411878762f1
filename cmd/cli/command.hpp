// What a command is: its words, its options, and what it runs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

/// A parsed command line: what the command gets.
struct Invocation {
  LoadedConfig loaded;                         // resolved
  std::vector<std::string> arguments;          // what is no option
  std::map<std::string, std::string> options;  // the command's own: "--json" → "true", "--name" → "x"
  std::map<std::string, std::vector<std::string>> repeated = {};  // of those that may be repeated: all values

  const Config& config() const { return loaded.config; }
  bool has(const std::string& flag) const { return options.contains(flag); }
  /// Empty when it was not given.
  std::string option(const std::string& flag) const;
};

/// An option that is no setting: it belongs to one run.
struct OwnOption {
  std::string flag;        // "--json"
  std::string value_name;  // empty: a switch
  std::string help;
  bool required = false;
  bool repeatable = false;  // else the last one counts
};

struct Example {
  std::string command, what;
};

struct Command {
  std::string name;  // "web", "model pull"
  std::string summary;
  std::string arguments = {};  // "FILE|DIR…"; empty: takes none
  int arguments_min = 0, arguments_max = 0;
  CommandBit settings = kConfigCommand;
  std::vector<Example> examples = {};
  std::vector<OwnOption> options = {};
  std::string notes = {};  // after the options: exit codes, signals
  std::function<int(const Invocation&)> run = {};
};

/// "0.1.0".
std::string_view version();

}  // namespace imgrec
