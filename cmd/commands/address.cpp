// imgrec address
#include <cstdio>

#include "aws/adapters/ec2_api.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platforms.hpp"

namespace imgrec {
namespace {

constexpr Millis kAddressDeadline{120'000};

int run_address(const Invocation& call) {
  const std::string& address = call.config().deploy.address;
  if (address.empty()) {
    return report({ErrorKind::invalid, "no_address",
                   "deploy.address is empty: it is the allocation id (eipalloc-…) of an Elastic IP, which the stack of "
                   "`imgrec deploy` tells its web instance."});
  }
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  Interrupts interrupts;
  aws::Imds* const imds = (*session)->imds();
  const auto id = imds == nullptr
                      ? fail(ErrorKind::invalid, "no_instance",
                             "AWS_EC2_METADATA_DISABLED is set, and only an instance's metadata say which one this is.")
                      : imds->get("/latest/meta-data/instance-id", interrupts.token());
  if (!id) return report(id.error(), interrupts);
  const CallLimits limits(Deadline::in(system_clock(), kAddressDeadline), interrupts.token());
  const auto taken = aws::Ec2Api(**session, kAddressDeadline).associate_address(address, InstanceId(*id), limits);
  if (!taken) return report(taken.error(), interrupts);
  std::printf("The address %s is now that of %s.\n", address.c_str(), id->c_str());
  return kExitOk;
}

}  // namespace

Command address_command() {
  return {.name = "address",
          .summary = "Give this EC2 instance the Elastic IP of its stack, which another may have had before",
          .settings = kConfigCommand,
          .examples = {{"imgrec address --config /etc/imgrec/web.toml", "as a stack's web instance does at its start"}},
          .notes =
              "It needs deploy.address and the right ec2:AssociateAddress (configs/iam/web-instance.json). Where the\n"
              "instance has the address already, nothing changes.",
          .run = run_address};
}

}  // namespace imgrec
