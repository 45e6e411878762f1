// imgrec setup
#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platform.hpp"

namespace imgrec {

namespace {

int run_setup(const Invocation& call) {
  Config config = call.config();
  config.aws.queues = config.aws.buckets = "create";
  const auto platform = make_platform(config, system_clock(), system_rng());
  if (!platform) return report(platform.error());
  std::printf("Ready: queues %s and %s, %s.\n", config.queue.request.c_str(), config.queue.dead_letter.c_str(),
              platform->place.c_str());
  return kExitOk;
}

}  // namespace

Command setup_command() {
  return {.name = "setup",
          .summary = "Make the queues and buckets of the settings, where they are not there yet",
          .settings = kConfigCommand,
          .examples = {{"imgrec setup --config aws.toml", "on AWS, with rights that the roles then need not have"}},
          .run = run_setup};
}

}  // namespace imgrec
