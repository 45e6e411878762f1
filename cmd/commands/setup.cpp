// imgrec setup
#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platform.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {

namespace {

int run_setup(const Invocation& call) {
  Config config = call.config();
  config.aws.queues = config.aws.buckets = "create";
  const auto platform = make_platform(config, system_clock(), system_rng());
  if (!platform) return report(platform.error());
  std::string names;
  for (const QueueRow& row : queue_roster(config)) {
    if (row.owner != QueueOwner::service) continue;
    if (const auto queue = platform->queues->open(row.name); !queue) return report(queue.error());
    names += (names.empty() ? "" : ", ") + row.name;
  }
  std::printf("Ready: queues %s; %s.\n", names.c_str(), platform->place.c_str());
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
