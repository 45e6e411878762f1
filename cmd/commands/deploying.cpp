#include "cmd/commands/deploying.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <optional>
#include <span>

#include "aws/deploy/template.hpp"
#include "aws/deploy/template_policies.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/platform/platforms.hpp"
#include "cmd/platform/user_data.hpp"
#include "lib/config/settings_deploy.hpp"
#include "roles/controller/policy/alarm_rule.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/round.hpp"

namespace imgrec {
namespace {

constexpr int kLookForStopMs = 200;
constexpr const char* kWebNode =
    "web";  // whatever machine it is, so that each takes over the answers of the one before

}  // namespace

namespace {

// Those of the policy alarm.
aws::AlarmRules alarm_rules() {
  const auto rule = [](double threshold, bool above, std::span<const alarm_rule::Step> steps) {
    aws::AlarmRule out{.threshold = threshold, .above = above};
    for (const alarm_rule::Step& step : steps) {
      const auto bound = [](double value) { return std::isinf(value) ? std::nullopt : std::optional(value); };
      out.steps.push_back({.lower = bound(step.lower), .upper = bound(step.upper), .change = step.change});
    }
    return out;
  };
  return {.out = rule(alarm_rule::kOutThreshold, true, alarm_rule::kOutSteps),
          .in = rule(alarm_rule::kInThreshold, false, alarm_rule::kInSteps),
          .warm_up_seconds = alarm_rule::kWarmUpSeconds};
}

}  // namespace

aws::StackHolder this_process() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return {.host = host, .process = ::getpid()};
}

bool is_running(long process) {
  return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM;
}

std::string stack_of(const Invocation& call) {
  return call.has("--stack") ? call.option("--stack") : call.config().aws.fleet;
}

namespace {

// Where several are missing, all at once; a single one is told, with more words, by who needs it.
Result<void> check_given(const Config& config) {
  const std::pair<bool, const char*> needed[] = {
      {config.aws.input_bucket.empty(), "aws.input_bucket: a name for the images' bucket, which nobody else has"},
      {config.aws.bundle_bucket.empty(), "aws.bundle_bucket: the bucket of the bundle, which is not the stack's"},
      {config.aws.bundle_key.empty() || config.aws.bundle_sha256.empty(),
       "aws.bundle_key and aws.bundle_sha256: `./dev bundle` makes a bundle, `imgrec bundle upload` prints them"},
      {config.aws.image_id.empty(), "aws.image_id: a Debian 12 image (ami-…) of your region"},
      {config.aws.instance_types.empty(), "aws.instance_types: the types of workers, such as c7i.large"},
      {config.deploy.web && config.deploy.allowed_cidr.empty(),
       "deploy.allowed_cidr: the addresses that may reach the web instance, such as 203.0.113.7/32; or deploy.web = "
       "false"}};
  std::string missing;
  int count = 0;
  for (const auto& [is_missing, what] : needed) {
    if (!is_missing) continue;
    ++count;
    missing += std::string("\n  ") + what;
  }
  if (count < 2) return {};
  return fail(ErrorKind::invalid, "settings_missing",
              "The stack needs settings that are empty (--config FILE; configs/aws.toml is a sample):" + missing);
}

}  // namespace

Result<std::string> stack_template(const Config& config, const aws::Session& session) {
  if (auto given = check_given(config); !given) return fail(given.error());
  const int workers_max = instance_limit(scaling_rules(config.controller));
  if (auto checked = check_cost_limit(config, workers_max); !checked) return fail(checked.error());
  if (auto checked = check_alarms(config); !checked) return fail(checked.error());
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  const auto user_data = worker_user_data(config, session.endpoints());
  if (!user_data) return fail(user_data.error());
  aws::TemplateInputs inputs{.input_bucket = buckets->input,
                             .output_bucket = buckets->output,
                             .bundle_bucket = buckets->bundle,
                             .worker_user_data = *user_data,
                             .workers_max = workers_max,
                             .alarms = alarm_rules()};
  if (!config.deploy.web) return aws::render_template(config, inputs);
  Config with_web = config;
  with_web.web.node = kWebNode;
  auto web = web_user_data(with_web, session.endpoints(),
                           {.address = aws::kAddressOfStack, .launch_template = aws::stack_name_of(config, "worker")});
  if (!web) return fail(web.error());
  inputs.web_user_data = *std::move(web);
  return aws::render_template(with_web, inputs);
}

void print_address(const std::vector<std::pair<std::string, std::string>>& outputs) {
  for (const auto& [name, value] : outputs) {
    if (name != aws::kAddressOutput) continue;
    std::printf("\nThe service answers at %s (a new machine needs two minutes or so).\n", printable(value).c_str());
  }
}

Result<bool> ask(const std::string& question, bool yes, std::stop_token stop) {
  if (yes) return true;
  if (!is_terminal(0)) {
    return fail(ErrorKind::invalid, "no_consent",
                question + " Standard input is no terminal, so nobody can answer: --yes says yes.");
  }
  std::printf("%s [y/N] ", printable(question).c_str());
  std::fflush(stdout);
  pollfd input = {.fd = 0, .events = POLLIN, .revents = 0};
  while (::poll(&input, 1, kLookForStopMs) <= 0) {
    if (stop.stop_requested()) return fail(ErrorKind::cancelled, "unanswered", "Interrupted: nothing was changed.");
  }
  char answer[16] = {};
  if (std::fgets(answer, sizeof answer, stdin) == nullptr) return false;
  const std::string word(answer);
  return word == "y\n" || word == "Y\n" || word == "yes\n";
}

aws::DeployTalk deploy_talk(bool yes, std::stop_token stop) {
  return {.say =
              [](const std::string& line) {
                std::printf("%s\n", printable(line).c_str());
                std::fflush(stdout);
              },
          .show =
              [](const aws::ChangeSet& set) {
                auto rows = aws::change_rows(set.changes);
                for (auto& row : rows) {
                  for (std::string& cell : row) cell = printable(cell);
                }
                std::printf("%s\n", as_columns(rows).c_str());
              },
          .confirm = [yes, stop](const std::string& question) { return ask(question, yes, stop); }};
}

}  // namespace imgrec
