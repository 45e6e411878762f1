// imgrec user-data worker
#include "cmd/platform/user_data.hpp"

#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platforms.hpp"

namespace imgrec {

namespace {

int run_user_data_worker(const Invocation& call) {
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  const auto text = worker_user_data(call.config(), (*session)->endpoints());
  if (!text) return report(text.error());
  print(*text);
  return kExitOk;
}

}  // namespace

Command user_data_worker_command() {
  return {
      .name = "user-data worker",
      .summary = "Print the cloud-init user-data that makes a stock Debian 12 machine a worker on AWS",
      .settings = kConfigCommand,
      .examples = {{"imgrec user-data worker --config aws.toml", "as `imgrec controller` gives it to instances"},
                   {"imgrec user-data worker --config aws.toml > user-data.yaml", "for a launch template"}},
      .notes =
          "It needs aws.input_bucket, aws.bundle_key and aws.bundle_sha256 (imgrec bundle upload). Nothing is called,\n"
          "and no secret is in it: the machine has the credentials of its instance profile.",
      .run = run_user_data_worker};
}

}  // namespace imgrec
