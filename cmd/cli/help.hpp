// Help texts, made from the tables of commands and settings.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cmd/cli/command.hpp"

namespace imgrec {

std::string main_help(std::span<const Command> commands);
/// Of a group such as "model": its commands.
std::string group_help(std::span<const Command> commands, std::string_view group);
std::string command_help(const Command& command);

}  // namespace imgrec
