// imgrec deploy logs
#include <algorithm>
#include <cstdio>

#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_launch.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr Millis kLogsDeadline{60'000};

// Of the fleet's own only: another's console is nobody's business here.
Result<aws::Ec2Instance> wanted_instance(const Invocation& call, aws::Ec2Api& ec2, const CallLimits& limits) {
  const std::string& fleet = call.config().aws.fleet;
  const std::string_view tag = call.has("--web") ? aws::kWebTag : aws::kFleetTag;
  std::vector<aws::Ec2Filter> filters = {{"tag:" + std::string(tag), {fleet}}};
  if (call.has("--instance")) filters.push_back({"instance-id", {call.option("--instance")}});
  const auto found = ec2.describe(filters, limits);
  if (!found) return fail(found.error());
  if (found->empty()) {
    const std::string what = call.has("--instance") ? "no instance " + json_quote(call.option("--instance"))
                             : call.has("--web")    ? "no web instance"
                                                    : "no instance";
    return fail(
        ErrorKind::not_found, "no_instance",
        "The fleet " + json_quote(fleet) + " has " + what + ". EC2 forgets instances about an hour after they ended.");
  }
  return *std::ranges::max_element(*found, {}, &aws::Ec2Instance::launched_at);
}

// Terminals take escapes from this text, which an instance wrote: of control characters only line ends and tabs stay.
void print_log_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (!out.empty() && ends_c1(out.back(), c)) {
      out.pop_back();
    } else if (static_cast<unsigned char>(c) >= 0x20 ? c != 0x7F : c == '\n' || c == '\t')
      out += c;
  }
  if (!out.ends_with('\n')) out += '\n';
  print(out);
}

int run_deploy_logs(const Invocation& call) {
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  const CallLimits limits = Deadline::in(system_clock(), kLogsDeadline);
  aws::Ec2Api ec2(**session, kLogsDeadline);
  const auto instance = wanted_instance(call, ec2, limits);
  if (!instance) return report(instance.error());
  std::fprintf(stderr, "Instance %s, launched at %s: %s%s\n", instance->id.str().c_str(),
               to_rfc3339(instance->launched_at).c_str(), instance->state.c_str(),
               instance->state_reason.empty() ? "" : (" (" + instance->state_reason + ")").c_str());
  const auto console = ec2.console(instance->id, limits);
  if (!console) return report(console.error());
  if (console->text.empty()) {
    complain(
        "EC2 has no console text of it yet: that comes some minutes after the start, and again after the end. Try "
        "again later.");
    return kExitItemFailed;
  }
  print_log_text(console->text);
  std::fprintf(stderr, "This is the console as of %s: EC2 shows it late, so newer lines may be missing.\n",
               console->read_at.c_str());
  return kExitOk;
}

}  // namespace

Command deploy_logs_command() {
  return {.name = "deploy logs",
          .summary = "Print the console of a worker machine, or of the web instance: why it does not start",
          .settings = kConfigCommand,
          .examples = {{"imgrec deploy logs --config aws.toml", "of the instance that was launched last"},
                       {"imgrec deploy logs --config aws.toml --instance i-0123456789abcdef0", ""}},
          .options = {{"--instance", "ID", "of this one"}, {"--web", "", "of the stack's web instance"}},
          .notes =
              "EC2 shows the console late: some minutes after the start, and again after the end, for about an hour.\n"
              "It exits with 1 while there is no text.",
          .run = run_deploy_logs};
}

}  // namespace imgrec
