// Completion of command lines in shells, and the manual page: made from the tables of commands and settings.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cmd/cli/command.hpp"

namespace imgrec {

/// A script for "bash", "zsh" or "fish" that completes commands, and the options of each. Errors: invalid
/// "no_such_shell".
Result<std::string> completion(std::span<const Command> commands, std::string_view shell);

/// imgrec(1) for man, in roff.
std::string manual_page(std::span<const Command> commands);

}  // namespace imgrec
