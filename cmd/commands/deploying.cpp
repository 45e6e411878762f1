#include "cmd/commands/deploying.hpp"

#include <poll.h>

#include <cstdio>

#include "aws/deploy/template.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/platform/platforms.hpp"
#include "cmd/platform/user_data.hpp"

namespace imgrec {
namespace {

constexpr int kLookForStopMs = 200;

}  // namespace

std::string stack_of(const Invocation& call) {
  return call.has("--stack") ? call.option("--stack") : call.config().aws.fleet;
}

Result<std::string> stack_template(const Config& config, const aws::Session& session) {
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  const auto user_data = worker_user_data(config, session.endpoints());
  if (!user_data) return fail(user_data.error());
  return aws::render_template(config, {.input_bucket = buckets->input,
                                       .output_bucket = buckets->output,
                                       .bundle_bucket = buckets->bundle,
                                       .worker_user_data = *user_data});
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
