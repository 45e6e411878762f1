#include "cmd/cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/help.hpp"
#include "cmd/cli/terminal.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using Words = std::vector<std::string>;

int usage_error(const std::string& message, const std::string& help_of) {
  complain(message + "\nTry `imgrec" + (help_of.empty() ? "" : " " + help_of) + " --help`.");
  return kExitUsage;
}

// The options that a command line may have, as CLI11 sees them; values are read after the parse.
struct Options {
  CLI::App app;
  std::vector<std::pair<const Setting*, CLI::Option*>> settings;
  std::vector<std::pair<const OwnOption*, CLI::Option*>> own;
  CLI::Option* config = nullptr;
  CLI::Option* help = nullptr;
  Words flags;  // all names, for "did you mean"

  Options() {
    app.set_help_flag();
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    config = add("--config", false);
    help = add("--help,-h", true);
  }

  CLI::Option* add(const std::string& names, bool is_switch, bool repeatable = false) {
    for (const std::string_view name : split(names, ',')) flags.emplace_back(name);
    if (is_switch) return app.add_flag(names);
    // The callback only tells CLI11 that one value belongs to it.
    return app.add_option(names, [](const CLI::results_t&) { return true; })
        ->type_size(1)
        ->expected(1)
        ->multi_option_policy(repeatable ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  }

  void add_settings(CommandBit command, auto&& wanted) {
    for (const Setting& setting : imgrec::settings()) {
      std::string names;
      for (const std::string& flag : flags_of(setting, command)) {
        if (std::ranges::find(flags, flag) != flags.end()) continue;  // the command's own option of that name
        names += (names.empty() ? "" : ",") + flag;
      }
      if (!names.empty() && wanted(setting)) settings.emplace_back(&setting, add(names, setting.is_switch));
    }
  }

  /// Nothing, or what is wrong.
  std::optional<std::string> parse(Words words) {
    std::ranges::reverse(words);  // CLI11 takes them from the end
    try {
      app.parse(std::move(words));
    } catch (const CLI::ParseError& error) {
      return error.what();
    } catch (const std::exception& error) {  // a switch with a value that is none (--dry-run=banana)
      return std::string(error.what());
    }
    return std::nullopt;
  }

  void collect(std::vector<FlagValue>& into) const {
    for (const auto& [setting, option] : settings) {
      if (option->count() == 0) continue;
      into.push_back({setting->key, setting->flags.front(), option->results().back()});
    }
  }
};

// Options that may stand before the command: what concerns every command.
bool is_global(const Setting& setting) {
  return setting.key == "state_dir" || setting.key == "platform" || setting.key.starts_with("log.");
}

struct Line {
  Words words;                   // of the command itself, what comes after its name
  std::vector<FlagValue> flags;  // given before the command
  std::optional<std::string> config;
  bool help = false;
  std::string command;  // first word; empty: none
};

// Takes "--role=NAME" or "--role NAME" out of the words.
std::optional<std::string> take_role(Words& words) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (word->starts_with("--role=")) {
      std::string role = word->substr(7);
      words.erase(word);
      return role;
    }
    if (*word == "--role" && word + 1 != words.end()) {
      std::string role = *(word + 1);
      words.erase(word, word + 2);
      return role;
    }
    if (!word->starts_with("-") && word == words.begin()) return std::nullopt;  // a command comes first
  }
  return std::nullopt;
}

std::optional<std::string> split_line(Words words, Line& line) {
  auto role = take_role(words);
  Options options;
  options.add_settings(kConfigCommand, is_global);
  options.app.prefix_command();
  CLI::Option* version_flag = options.add("--version,-V", true);
  if (auto wrong = options.parse(words)) return wrong;
  options.collect(line.flags);
  if (options.config->count() > 0) line.config = options.config->results().back();
  line.help = options.help->count() > 0;
  line.words = options.app.remaining();
  if (version_flag->count() > 0) role = "version";
  if (role) {
    line.command = *role;
    if (line.words.empty() || line.words.front() != *role) return std::nullopt;
  } else {
    if (line.words.empty()) return std::nullopt;
    line.command = line.words.front();
  }
  line.words.erase(line.words.begin());
  return std::nullopt;
}

std::optional<std::string> wrong_argument_count(const Command& command, std::size_t count) {
  if (count > static_cast<std::size_t>(command.arguments_max)) {
    return command.arguments_max == 0 ? "imgrec " + command.name + " takes no arguments, only options."
                                      : "imgrec " + command.name + " takes one argument: " + command.arguments + ".";
  }
  if (count < static_cast<std::size_t>(command.arguments_min)) {
    return "imgrec " + command.name + " needs " + command.arguments + ".";
  }
  return std::nullopt;
}

std::string unknown_option(const std::string& word, const Options& options, const Command& command,
                           const CommandTable& table) {
  const std::string flag = word.substr(0, word.find('='));
  std::string message = "imgrec " + command.name + " has no option " + flag;
  for (const Command& other : table.commands) {
    const bool is_its = std::ranges::any_of(settings(), [&](const Setting& setting) {
      const auto flags = flags_of(setting, other.settings);
      return std::ranges::find(flags, flag) != flags.end();
    });
    if (is_its && other.settings != kConfigCommand) return message + " (imgrec " + other.name + " has).";
  }
  const std::string near = nearest(flag, options.flags);
  return message + (near.empty() ? "." : "; did you mean " + near + "?");
}

int unknown_command(const std::string& word, const CommandTable& table) {
  if (word.starts_with("-")) {
    return usage_error("There is no option " + word.substr(0, word.find('=')) +
                           " before a command. Give the command first: imgrec local " + word + " …",
                       "");
  }
  Words names;
  for (const Command& command : table.commands) names.push_back(command.name.substr(0, command.name.find(' ')));
  const std::string near = nearest(word, names);
  return usage_error("There is no command " + json_quote(word) + (near.empty() ? "." : "; did you mean " + near + "?"),
                     "");
}

// "model pull" from "model" and its next word; an error is printed and gives null with the exit code.
const Command* choose(Line& line, const CommandTable& table, int& exit_code) {
  const std::string word = line.words.empty() ? "" : line.words.front();
  // "deploy status" is a command as "deploy" alone is.
  if (const Command* command = table.find(line.command + " " + word)) {
    line.words.erase(line.words.begin());
    return command;
  }
  Words inner;
  for (const Command& command : table.commands) {
    if (command.name.starts_with(line.command + " ")) inner.push_back(command.name.substr(line.command.size() + 1));
  }
  if (const Command* command = table.find(line.command)) {
    const bool is_argument = command->arguments_max > 0 || word.empty() || word.starts_with("-");
    if (is_argument || inner.empty()) return command;
  }
  if (inner.empty()) {
    exit_code = unknown_command(line.command, table);
    return nullptr;
  }
  if (word == "--help" || word == "-h" || (word.empty() && line.help)) {
    print(group_help(table.commands, line.command));
    return nullptr;
  }
  if (word.empty()) {
    exit_code = usage_error("imgrec " + line.command + " needs a command.", line.command);
    return nullptr;
  }
  const std::string near = nearest(word, inner);
  exit_code = usage_error("There is no command " + json_quote(line.command + " " + word) +
                              (near.empty() ? "." : "; did you mean " + line.command + " " + near + "?"),
                          line.command);
  return nullptr;
}

int configure_log(const Config& config, const std::string& role) {
  const auto level = log::parse_level(config.log.level);
  const auto format = log::parse_format(config.log.format);
  if (!level) return report(level.error());
  if (!format) return report(format.error());
  log::configure({.level = *level, .format = *format, .role = role});
  return kExitOk;
}

int run_command(const Command& command, const Line& line, const CommandTable& table, const Environment& environment) {
  Options options;
  options.app.allow_extras();
  for (const OwnOption& own : command.options) {
    options.own.emplace_back(&own, options.add(own.flag, own.value_name.empty(), own.repeatable));
  }
  options.add_settings(command.settings, [](const Setting&) { return true; });
  if (auto wrong = options.parse(line.words)) return usage_error(*wrong, command.name);
  if (line.help || options.help->count() > 0) {
    print(command_help(command));
    return kExitOk;
  }
  Invocation call{.loaded = {}, .arguments = {}, .options = {}};
  bool only_arguments = false;
  for (const std::string& word : options.app.remaining()) {
    if (!only_arguments && word == "--")
      only_arguments = true;
    else if (!only_arguments && word.size() > 1 && word[0] == '-')
      return usage_error(unknown_option(word, options, command, table), command.name);
    else
      call.arguments.push_back(word);
  }
  if (auto wrong = wrong_argument_count(command, call.arguments.size())) return usage_error(*wrong, command.name);
  for (const auto& [own, option] : options.own) {
    if (option->count() > 0 && own->repeatable) call.repeated[own->flag] = option->results();
    if (option->count() > 0)
      call.options[own->flag] = option->results().back();
    else if (own->required)
      return usage_error("imgrec " + command.name + " needs " + own->flag + " " + own->value_name + ".", command.name);
  }
  ConfigSources sources{.file = std::nullopt, .environment = environment, .flags = line.flags};
  if (options.config->count() > 0)
    sources.file = options.config->results().back();
  else if (line.config)
    sources.file = *line.config;
  options.collect(sources.flags);
  auto loaded = load_config(sources);
  if (!loaded) return report(loaded.error()), kExitUsage;
  if (auto finished = table.finish_config(*loaded, environment); !finished) return report(finished.error());
  if (const int wrong = configure_log(loaded->config, command.name); wrong != kExitOk) return wrong;
  call.loaded = std::move(*loaded);
  return command.run(call);
}

}  // namespace

const Command* CommandTable::find(std::string_view name) const {
  const auto found = std::ranges::find(commands, name, &Command::name);
  return found == commands.end() ? nullptr : &*found;
}

std::string Invocation::option(const std::string& flag) const {
  const auto found = options.find(flag);
  return found == options.end() ? "" : found->second;
}

int run_command_line(const CommandTable& table, std::vector<std::string> arguments, const Environment& environment) {
  Line line;
  if (auto wrong = split_line(std::move(arguments), line)) return usage_error(*wrong, "");
  if (line.command == "help") {  // `imgrec help model pull` is `imgrec model pull --help`
    line.help = true;
    line.command = line.words.empty() ? "" : line.words.front();
    if (!line.words.empty()) line.words.erase(line.words.begin());
  }
  if (line.command.empty()) {
    print(main_help(table.commands));
    return kExitOk;
  }
  int exit_code = kExitOk;
  const Command* command = choose(line, table, exit_code);
  return command == nullptr ? exit_code : run_command(*command, line, table, environment);
}

}  // namespace imgrec
