#include "cmd/cli/help.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kColumns = 100;

using Rows = std::vector<std::pair<std::string, std::string>>;

// UTF-8 code points: "…" is one column.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// "  name   text", the text wrapped beside its column.
std::string two_columns(const Rows& rows, std::size_t left_max) {
  std::size_t left = 0;
  for (const auto& [name, text] : rows) {
    if (columns(name) <= left_max) left = std::max(left, columns(name));
  }
  std::string out;
  for (const auto& [name, text] : rows) {
    std::string line = "  " + name;
    std::size_t at = columns(line);
    const std::size_t indent = left + 4;
    if (at + 2 > indent) {
      out += line + "\n";
      line.clear();
      at = 0;
    }
    line += std::string(indent - at, ' ');
    at = indent;
    bool first = true;
    for (const std::string_view word : split(text, ' ')) {
      if (!first && at + 1 + columns(word) > kColumns) {
        out += line + "\n";
        line = std::string(indent, ' ');
        at = indent;
        first = true;
      }
      if (!first) line += ' ';
      line += word;
      at += columns(word) + (first ? 0 : 1);
      first = false;
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string section_title(std::string_view section) {
  static const std::pair<std::string_view, std::string_view> kTitles[] = {
      {"", "General"},     {"log", "Log"},           {"model", "Model"},      {"image", "Images"},
      {"queue", "Queues"}, {"web", "Web"},           {"worker", "Workers"},   {"controller", "Scaling"},
      {"aws", "AWS"},      {"local", "One machine"}, {"classify", "Classify"}};
  for (const auto& [key, title] : kTitles) {
    if (key == section) return std::string(title);
  }
  return std::string(section);
}

std::string settings_help(const Command& command) {
  static const Config defaults;
  std::string out;
  std::vector<std::string> titles;
  std::vector<Rows> groups;
  for (const Setting& setting : settings()) {
    const auto flags = flags_of(setting, command.settings);
    if (flags.empty()) continue;
    const std::size_t dot = setting.key.find('.');
    const std::string title = section_title(dot == std::string::npos ? "" : setting.key.substr(0, dot));
    if (titles.empty() || titles.back() != title) {
      titles.push_back(title);
      groups.emplace_back();
    }
    const std::string value = setting.get(defaults);
    groups.back().emplace_back(flags.front() + (setting.is_switch ? "" : " " + setting.value_name),
                               setting.help + (value.empty() || setting.is_switch ? "" : " [" + value + "]"));
  }
  for (std::size_t i = 0; i < titles.size(); ++i) out += "\n" + titles[i] + ":\n" + two_columns(groups[i], 32);
  return out;
}

std::string examples_help(const std::vector<Example>& examples) {
  std::string out = "Examples:\n";
  for (const Example& example : examples) {
    out += "  " + example.command + "\n";
    if (!example.what.empty()) out += "      " + example.what + "\n";
  }
  return out;
}

Rows command_rows(std::span<const Command> commands, std::string_view prefix) {
  Rows rows;
  std::string last_group;
  for (const Command& command : commands) {
    const std::size_t space = command.name.find(' ');
    const std::string group = space == std::string::npos ? "" : command.name.substr(0, space);
    if (!prefix.empty()) {
      if (group == prefix)
        rows.emplace_back(command.name.substr(space + 1) + (command.arguments.empty() ? "" : " " + command.arguments),
                          command.summary);
    } else if (group.empty()) {
      rows.emplace_back(command.name + (command.arguments.empty() ? "" : " " + command.arguments), command.summary);
    } else if (group == last_group) {
      rows.back().first += "|" + command.name.substr(space + 1);
    } else {
      rows.emplace_back(command.name,
                        group == "model" ? "Models: list, download, import, check, show" : command.summary);
    }
    last_group = group;
  }
  return rows;
}

}  // namespace

std::string main_help(std::span<const Command> commands) {
  return "imgrec - elastic image recognition: upload, queue, workers, answers\n\n" +
         examples_help(
             {{"imgrec model pull resnet18", "get the default model, once"},
              {"imgrec local", "the whole service here: open http://127.0.0.1:8000 and drop photos on the page"},
              {"curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/classify", "ask it from a program"},
              {"imgrec classify photo.jpg photos/", "no service: classify files"}}) +
         "\nUsage: imgrec COMMAND [OPTION…]\n\nCommands:\n" + two_columns(command_rows(commands, ""), 40) +
         "\n`imgrec COMMAND --help` has examples and all options. `imgrec --role=web` is `imgrec web`.\n"
         "\nSettings: a flag (--port 9000) beats an environment variable (IMGREC_WEB_PORT=9000), which beats\n"
         "the file (--config FILE or IMGREC_CONFIG, TOML), which beats the default. `imgrec config show`\n"
         "prints each with where it came from.\n\n"
         "Exit codes: " +
         std::string(kExitCodes);
}

std::string group_help(std::span<const Command> commands, std::string_view group) {
  std::vector<Example> examples;
  for (const Command& command : commands) {
    if (command.name.starts_with(std::string(group) + " ")) examples.push_back(command.examples.front());
  }
  return examples_help(examples) + "\nUsage: imgrec " + std::string(group) + " COMMAND [OPTION…]\n\nCommands:\n" +
         two_columns(command_rows(commands, group), 40);
}

std::string command_help(const Command& command) {
  std::string out = command.summary + "\n\n" + examples_help(command.examples) + "\nUsage: imgrec " + command.name +
                    " [OPTION…]" + (command.arguments.empty() ? "" : " " + command.arguments) + "\n\nOptions:\n";
  Rows rows;
  for (const OwnOption& option : command.options) {
    rows.emplace_back(option.flag + (option.value_name.empty() ? "" : " " + option.value_name),
                      option.help + (option.required ? " (required)" : ""));
  }
  rows.emplace_back("--config FILE", "settings from a TOML file (samples: configs/local.toml, configs/aws.toml)");
  rows.emplace_back("--help", "this text");
  out += two_columns(rows, 32);
  if (command.name != "version" && command.settings != kConfigCommand) {
    out += settings_help(command);
    out +=
        "\nDurations are written 500ms, 30s, 15m, 7d (a plain number is seconds), sizes 512KiB, 20MiB, 5MB.\n"
        "Each setting also has a name in files and in the environment: see `imgrec config show`.\n";
  } else if (command.settings == kConfigCommand && command.name != "version") {
    out += "\nTakes every setting's flag, such as --port or --web-port.\n";
  }
  if (!command.notes.empty()) out += "\n" + command.notes + "\n";
  return out + "\nExit codes: " + std::string(kExitCodes);
}

}  // namespace imgrec
