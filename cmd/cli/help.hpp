// Help texts, made from the tables of commands and settings.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cmd/cli/command.hpp"

namespace imgrec {

inline constexpr std::string_view kExitCodes =
    "0 ok, 1 an item failed, 2 wrong usage or settings, 3 something cannot be reached,\n"
    "4 the model cannot be loaded (worker) or a --fail-if holds (load), 130 interrupted.\n";

std::string main_help(std::span<const Command> commands);
/// Of a group such as "model": its commands.
std::string group_help(std::span<const Command> commands, std::string_view group);
std::string command_help(const Command& command);

}  // namespace imgrec
