// imgrec dead-letters list | redrive | drop
#include <algorithm>
#include <cstdio>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platform.hpp"
#include "cmd/platform/resolve.hpp"
#include "roles/web/jobs/dead_letters.hpp"

namespace imgrec {
namespace {

constexpr const char* kNotes =
    "A queue cannot list its messages, so they are received and given back at once: at most 1000, and whoever looks "
    "at\n"
    "the same time sees the others. On AWS it needs the rights of the web tier (configs/iam/web.json).";

/// The dead letters of the settings' platform. Everything closes with it.
struct OpenedLetters {
  Platform platform;
  std::unique_ptr<DeadLetters> letters;
};

Result<OpenedLetters> open(const Config& config, const Interrupts& interrupts) {
  auto platform =
      make_platform(config, system_clock(), system_rng(), {.make_stores = false, .stop = interrupts.token()});
  if (!platform) return fail(platform.error());
  OpenedLetters opened{.platform = *std::move(platform), .letters = {}};
  opened.letters = std::make_unique<DeadLetters>(DeadLetters::Ports{.dead_letters = *opened.platform.dead_letters,
                                                                    .requests = *opened.platform.requests,
                                                                    .inputs = *opened.platform.inputs,
                                                                    .outputs = *opened.platform.outputs,
                                                                    .clock = system_clock(),
                                                                    .rng = system_rng(),
                                                                    .abort = interrupts.token()},
                                                 DeadLetters::Options{.input_bucket = opened.platform.input_bucket,
                                                                      .reply_to = {},
                                                                      .job_ttl = config.web.job_ttl,
                                                                      .fifo = config.queue.fifo});
  return opened;
}

int run_list(const Invocation& call) {
  Interrupts interrupts;
  const auto opened = open(call.config(), interrupts);
  if (!opened) return report(opened.error(), interrupts);
  const auto listing = opened->letters->list(kDeadLettersLookedAt);
  if (!listing) return report(listing.error(), interrupts);
  if (listing->letters.empty()) {
    std::puts(listing->complete ? "There are no dead letters." : "No dead letter can be seen now; some are held.");
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {{"ID", "SENT", "JOB", "NAME", "CODE", "WHY"}};
  for (const DeadLetter& letter : listing->letters) {
    rows.push_back({printable(letter.id.str()), to_rfc3339(letter.sent_at), letter.job.str(), printable(letter.name),
                    printable(letter.error.code), printable(letter.error.detail)});
  }
  std::fputs(as_columns(rows).c_str(), stdout);
  if (!listing->complete) std::puts("There may be more.");
  return kExitOk;
}

/// `act` on the letters that the command line names.
int run_on_letters(const Invocation& call, const char* done,
                   Result<std::vector<DeadLetters::Done>> (DeadLetters::*act)(std::span<const MessageId>)) {
  if (call.arguments.empty() != call.has("--all")) {
    return report(
        {ErrorKind::invalid, "bad_usage", "Name the letters by their ids (imgrec dead-letters list), or say --all."});
  }
  Interrupts interrupts;
  const auto opened = open(call.config(), interrupts);
  if (!opened) return report(opened.error(), interrupts);
  std::vector<MessageId> ids;
  for (const std::string& id : call.arguments) ids.emplace_back(id);
  const auto outcomes = ((*opened->letters).*act)(ids);
  if (!outcomes) return report(outcomes.error(), interrupts);
  bool failed = false;
  for (const DeadLetters::Done& one : *outcomes) {
    if (one.error) {
      failed = true;
      complain(one.id.str() + ": " + one.error->message);
    } else {
      std::printf("%s %s %s\n", done, printable(one.id.str()).c_str(), one.job.str().c_str());
    }
  }
  if (outcomes->empty()) std::puts("There are no dead letters.");
  return failed ? kExitItemFailed : kExitOk;
}

Command letters_command(const char* name, const char* summary, std::vector<Example> examples) {
  return {.name = name,
          .summary = summary,
          .arguments = "ID…",
          .arguments_max = 1'000,
          .settings = kConfigCommand,
          .examples = std::move(examples),
          .options = {{.flag = "--all", .value_name = {}, .help = "all letters, at most 1000"}},
          .notes = kNotes};
}

}  // namespace

Command dead_letters_list_command() {
  return {.name = "dead-letters list",
          .summary = "Show the requests that could not be processed, and why",
          .settings = kConfigCommand,
          .examples = {{"imgrec dead-letters list", "of the service in the default state folder"},
                       {"imgrec dead-letters list --config aws.toml", "on AWS"}},
          .notes = kNotes,
          .run = run_list};
}

Command dead_letters_redrive_command() {
  Command command = letters_command("dead-letters redrive", "Send such requests again, as if they were new",
                                    {{"imgrec dead-letters redrive 4f1c…", "one letter, by the id that list shows"},
                                     {"imgrec dead-letters redrive --all", "after the cause is fixed"}});
  command.run = [](const Invocation& call) { return run_on_letters(call, "sent again", &DeadLetters::redrive); };
  return command;
}

Command dead_letters_drop_command() {
  Command command = letters_command("dead-letters drop", "Remove such requests for good",
                                    {{"imgrec dead-letters drop 4f1c…", "one letter, by the id that list shows"}});
  command.run = [](const Invocation& call) { return run_on_letters(call, "dropped", &DeadLetters::drop); };
  return command;
}

}  // namespace imgrec
