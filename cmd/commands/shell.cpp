#include <cstdio>
#include <utility>

#include "cmd/cli/completion.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/commands/commands.hpp"

namespace imgrec {

Command completion_command(std::function<std::vector<Command>()> all) {
  return {.name = "completion",
          .summary = "Print a shell's script that completes commands and options",
          .arguments = "bash|zsh|fish",
          .arguments_min = 1,
          .arguments_max = 1,
          .examples = {{"source <(imgrec completion bash)", "for this shell; Debian's package installs it for all"},
                       {"imgrec completion fish > ~/.config/fish/completions/imgrec.fish", ""}},
          .run = [all = std::move(all)](const Invocation& call) -> int {
            const auto script = completion(all(), call.arguments.front());
            if (!script) return report(script.error());
            std::fputs(script->c_str(), stdout);
            return kExitOk;
          }};
}

Command manual_command(std::function<std::vector<Command>()> all) {
  return {.name = "manual",
          .summary = "Print the manual page",
          .examples = {{"imgrec manual | man -l -", "read it"}},
          .run = [all = std::move(all)](const Invocation&) -> int {
            std::fputs(manual_page(all()).c_str(), stdout);
            return kExitOk;
          }};
}

}  // namespace imgrec
