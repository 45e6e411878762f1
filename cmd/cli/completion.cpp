#include "cmd/cli/completion.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "cmd/cli/help.hpp"

namespace imgrec {
namespace {

struct Flag {
  std::string name, help;
  bool has_value = false;
};

std::vector<Flag> all_flags(const Command& command) {
  std::vector<Flag> flags;
  for (const OwnOption& option : command.options) {
    flags.push_back({.name = option.flag, .help = option.help, .has_value = !option.value_name.empty()});
  }
  // A command that is no role takes all settings, which would hide its own options.
  const bool is_role = command.settings != kConfigCommand;
  for (const Setting& setting : settings()) {
    const auto names = is_role ? flags_of(setting, command.settings) : std::vector<std::string>{};
    if (names.empty()) continue;
    flags.push_back({.name = names.front(), .help = setting.help, .has_value = !setting.is_switch});
  }
  flags.push_back({.name = "--config", .help = "settings from a TOML file", .has_value = true});
  flags.push_back({.name = "--help", .help = "this command's help"});
  return flags;
}

std::string first_word(std::string_view name) {
  return std::string(name.substr(0, name.find(' ')));
}

std::string second_word(std::string_view name) {
  const auto space = name.find(' ');
  return space == name.npos ? "" : std::string(name.substr(space + 1));
}

// "model" → "list pull …"; a command of one word has none.
std::map<std::string, std::string> groups(std::span<const Command> commands) {
  std::map<std::string, std::string> groups;
  for (const Command& command : commands) {
    std::string& words = groups[first_word(command.name)];
    if (const std::string second = second_word(command.name); !second.empty()) {
      words += (words.empty() ? "" : " ") + second;
    }
  }
  return groups;
}

std::string words_of(const std::map<std::string, std::string>& groups) {
  std::string words;
  for (const auto& [name, _] : groups) words += (words.empty() ? "" : " ") + name;
  return words;
}

// The branches of a shell's `case` over "COMMAND" or "GROUP COMMAND".
std::string flag_cases(std::span<const Command> commands) {
  std::string cases;
  for (const Command& command : commands) {
    cases += "    '" + command.name + "') flags='";
    for (const Flag& flag : all_flags(command)) cases += flag.name + " ";
    cases.back() = '\'';
    cases += " ;;\n";
  }
  return cases;
}

std::string group_cases(const std::map<std::string, std::string>& groups) {
  std::string cases;
  for (const auto& [name, words] : groups) {
    if (!words.empty()) cases += "    " + name + ") group='" + words + "' ;;\n";
  }
  return cases;
}

std::string bash(std::span<const Command> commands) {
  const auto names = groups(commands);
  return "# bash completion for imgrec; made by `imgrec completion bash`\n"
         "_imgrec() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} group='' flags=''\n"
         "  COMPREPLY=()\n"
         "  if ((COMP_CWORD == 1)); then\n"
         "    COMPREPLY=($(compgen -W '" +
         words_of(names) +
         "' -- \"$current\"))\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n" +
         group_cases(names) +
         "  esac\n"
         "  if [[ -n $group ]]; then\n"
         "    if ((COMP_CWORD == 2)) && [[ $current != -* ]]; then\n"
         "      COMPREPLY=($(compgen -W \"$group\" -- \"$current\"))\n"
         "      return\n"
         "    fi\n"
         "    [[ ${COMP_WORDS[2]} == -* ]] || command+=\" ${COMP_WORDS[2]}\"\n"
         "  fi\n"
         "  # Files, where no option is begun.\n"
         "  [[ $current == -* ]] || return 0\n"
         "  case $command in\n" +
         flag_cases(commands) +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$flags\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _imgrec imgrec\n";
}

std::string zsh(std::span<const Command> commands) {
  const auto names = groups(commands);
  return "#compdef imgrec\n"
         "# made by `imgrec completion zsh`\n"
         "_imgrec() {\n"
         "  local command=$words[2] group='' flags=''\n"
         "  if ((CURRENT == 2)); then\n"
         "    compadd -- " +
         words_of(names) +
         "\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n" +
         group_cases(names) +
         "  esac\n"
         "  if [[ -n $group ]]; then\n"
         "    if ((CURRENT == 3)) && [[ $PREFIX != -* ]]; then\n"
         "      compadd -- ${=group}\n"
         "      return\n"
         "    fi\n"
         "    [[ $words[3] == -* ]] || command+=\" $words[3]\"\n"
         "  fi\n"
         "  if [[ $PREFIX != -* ]]; then\n"
         "    _files\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n" +
         flag_cases(commands) +
         "  esac\n"
         "  compadd -- ${=flags}\n"
         "}\n"
         "_imgrec \"$@\"\n";
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish(std::span<const Command> commands) {
  std::string out = "# fish completion for imgrec; made by `imgrec completion fish`\n";
  const auto names = groups(commands);
  for (const Command& command : commands) {
    const std::string first = first_word(command.name), second = second_word(command.name);
    const std::string seen = "__fish_seen_subcommand_from ";
    if (second.empty()) {
      out += "complete -c imgrec -n __fish_use_subcommand -a " + first + " -d " + in_quotes(command.summary) + "\n";
    } else {
      // Once for each group, at its first command.
      if (names.at(first).starts_with(second)) out += "complete -c imgrec -n __fish_use_subcommand -a " + first + "\n";
      out += "complete -c imgrec -f -n " + in_quotes(seen + first + "; and not " + seen + names.at(first)) + " -a " +
             second + " -d " + in_quotes(command.summary) + "\n";
    }
    const std::string condition = in_quotes(seen + first + (second.empty() ? "" : "; and " + seen + second));
    for (const Flag& flag : all_flags(command)) {
      out += "complete -c imgrec -n " + condition + " -l " + flag.name.substr(2) + (flag.has_value ? " -r" : "") +
             " -d " + in_quotes(flag.help) + "\n";
    }
  }
  return out;
}

// Text of one paragraph: what roff would take for its own signs is escaped.
std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      case '\'': out += "\\(aq"; break;
      case '\n': out += text.substr(i + 1).starts_with('.') ? "\n\\&" : "\n"; break;
      default: out += text[i];
    }
  }
  return out;
}

std::string tagged(std::string_view name, std::string_view value, std::string_view text) {
  return ".TP\n\\fB" + roff(name) + "\\fR" + (value.empty() ? "" : " \\fI" + roff(value) + "\\fR") + "\n" + roff(text) +
         "\n";
}

std::string command_section(const Command& command) {
  std::string out = ".SS \"" + roff(command.name + (command.arguments.empty() ? "" : " " + command.arguments)) +
                    "\"\n" + roff(command.summary) + ".\n";
  for (const OwnOption& option : command.options) out += tagged(option.flag, option.value_name, option.help);
  if (!command.examples.empty()) out += ".PP\nExamples:\n";
  for (const Example& example : command.examples) {
    out += ".PP\n.EX\n" + roff(example.command) + "\n.EE\n" + (example.what.empty() ? "" : roff(example.what) + "\n");
  }
  return out;
}

std::string settings_section() {
  static const Config defaults;
  std::string out;
  for (const Setting& setting : settings()) {
    const std::string value = setting.get(defaults);
    out +=
        tagged(setting.flags.empty() ? setting.key : setting.flags.back(), setting.is_switch ? "" : setting.value_name,
               setting.help + " (" + setting.key + ", " + setting.environment_name() +
                   (value.empty() || setting.secret ? "" : "; default " + value) + ")");
  }
  return out;
}

}  // namespace

Result<std::string> completion(std::span<const Command> commands, std::string_view shell) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  if (shell == "fish") return fish(commands);
  return fail(ErrorKind::invalid, "no_such_shell",
              "There is no completion for \"" + std::string(shell) + "\"; there is: bash, zsh, fish.");
}

std::string manual_page(std::span<const Command> commands) {
  std::string out =
      ".TH IMGREC 1 \"\" \"imgrec " + roff(version()) +
      "\" \"User Commands\"\n"
      ".SH NAME\nimgrec \\- elastic image recognition: upload, queue, workers, answers\n"
      ".SH SYNOPSIS\n\\fBimgrec\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n"
      ".SH DESCRIPTION\nPeople and programs upload images over HTTP; a queue holds the work; workers classify "
      "with a neural network; results are stored and answered; a controller starts and stops workers as demand "
      "moves. On one machine \\fBimgrec local\\fR runs all of it.\n"
      ".PP\nA flag beats an environment variable, which beats the file of \\fB\\-\\-config\\fR, which beats the "
      "default. \\fBimgrec config show\\fR prints each with where it came from.\n"
      ".SH COMMANDS\n";
  for (const Command& command : commands) out += command_section(command);
  out += ".SH SETTINGS\nWhich of them a command takes, its \\fB\\-\\-help\\fR says.\n" + settings_section();
  out += ".SH EXIT STATUS\n" + roff(kExitCodes) + ".SH FILES\n" +
         tagged("/etc/imgrec/local.toml, /etc/imgrec/aws.toml", "",
                "Settings of the systemd units, each commented with its default.") +
         tagged("/etc/default/imgrec", "", "Environment of the systemd units.") +
         tagged("/var/lib/imgrec", "", "State of the systemd units, and their models.");
  return out;
}

}  // namespace imgrec
