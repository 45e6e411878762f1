// imgrec setup
#include <cstdio>

#include "cmd/cli/command.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/platform/platform.hpp"

namespace imgrec {

int run_setup(const Invocation& call) {
  Config config = call.config();
  config.aws.queues = config.aws.buckets = "create";
  const auto platform = make_platform(config, system_clock(), system_rng());
  if (!platform) return report(platform.error());
  std::printf("Ready: queues %s and %s, %s.\n", config.queue.request.c_str(), config.queue.dead_letter.c_str(),
              config.platform == "aws" ? ("images in the bucket " + platform->input_bucket).c_str()
                                       : ("all in " + config.state_dir).c_str());
  return kExitOk;
}

}  // namespace imgrec
