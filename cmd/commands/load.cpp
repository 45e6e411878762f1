// imgrec load
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/load_options.hpp"
#include "cmd/commands/load_reference.hpp"
#include "lib/base/file.hpp"
#include "lib/base/open_files.hpp"
#include "lib/http/client/curl_client.hpp"
#include "roles/load/report.hpp"
#include "roles/load/run.hpp"

namespace imgrec {
namespace {

using namespace load;

constexpr int kResendsMax = 20;  // of what the 2026 generator sends again without end
constexpr Millis kAttemptPause{1'000};

std::string progress_text(const LoadProgress& progress) {
  char text[200];
  std::snprintf(text, sizeof text, "%6.1f s  %llu ok  %llu failed  %zu under way  %.1f images/s%s", progress.now_s,
                static_cast<unsigned long long>(progress.ok), static_cast<unsigned long long>(progress.failed),
                progress.under_way, progress.now_s > 0 ? static_cast<double>(progress.images) / progress.now_s : 0.0,
                progress.is_warmup ? "  (warm-up)" : "");
  return text;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto in_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
}

// What a later attempt adds: its records are later by `offset_s`, and its names have numbers of their own.
void append(LoadResult& all, const LoadResult& more, double offset_s) {
  const auto errors = static_cast<std::uint16_t>(all.errors.size()),
             labels = static_cast<std::uint16_t>(all.labels.size());
  all.errors.insert(all.errors.end(), more.errors.begin(), more.errors.end());
  all.labels.insert(all.labels.end(), more.labels.begin(), more.labels.end());
  for (LoadRecord record : more.records) {
    for (double* time : {&record.intended_s, &record.sent_s, &record.ended_s}) *time += offset_s;
    record.error = static_cast<std::uint16_t>(record.error + errors);
    record.label += labels;
    all.records.push_back(record);
  }
  all.calls += more.calls;
  all.abandoned += more.abandoned;
  all.correct += more.correct;
  all.wrong += more.wrong;
  all.connections += more.connections;
  all.duration_s = offset_s + more.duration_s;
  if (!all.first_label_s && more.first_label_s) all.first_label_s = offset_s + *more.first_label_s;
}

class LoadCommand {
 public:
  explicit LoadCommand(LoadOptions options)
      : options_(std::move(options)),
        lines_(options_.lines, options_.plan.target.origin() + options_.plan.target.path),
        progress_(is_terminal(STDERR_FILENO) && (is_summary() || !is_terminal(STDOUT_FILENO)), clock_) {}
  int run();

 private:
  bool is_summary() const { return options_.lines == LoadLines::summary; }
  Result<LoadResult> send(const Interrupts& interrupts);
  Result<void> write(const LoadReport& report) const;
  int exit_code_of(const LoadReport& report, const Interrupts& interrupts) const;

  LoadOptions options_;
  Clock& clock_ = system_clock();
  GeneratorLines lines_;
  ProgressLine progress_;
  std::vector<LoadImage> missing_;  // images whose connection broke
};

Result<LoadResult> LoadCommand::send(const Interrupts& interrupts) {
  LoadHooks hooks{.on_image = {},
                  .on_progress = [this](const LoadProgress& now) { progress_.show(progress_text(now)); }};
  if (!is_summary()) {
    hooks.on_image = [this](const ImageEnd& end) {
      progress_.clear();
      lines_.on_image(end);
      if (end.is_transport_error) missing_.push_back(end.image);
    };
  }
  const MonoTime begin = clock_.mono_now();
  auto all = run_load(options_.plan, options_.images, hooks, clock_, interrupts.token());
  if (!all) return all;
  lines_.on_attempt(1, options_.plan.requests);
  if (options_.lines != LoadLines::generator_2026) return all;
  for (int attempt = 2; attempt <= kResendsMax && !missing_.empty(); ++attempt) {
    if (!clock_.sleep_for(kAttemptPause, interrupts.token())) break;
    const std::vector<LoadImage> again = std::exchange(missing_, {});
    LoadPlan plan = options_.plan;
    plan.requests = again.size();
    const double offset_s = std::chrono::duration<double>(clock_.mono_now() - begin).count();
    const auto more = run_load(plan, again, hooks, clock_, interrupts.token());
    if (!more) return more;
    // What is sent again has not failed.
    std::erase_if(all->records, [](const LoadRecord& record) { return record.status == 0; });
    append(*all, *more, offset_s);
    lines_.on_attempt(attempt, options_.plan.requests);
  }
  lines_.on_end(options_.plan.requests, all->duration_s);
  return all;
}

Result<void> LoadCommand::write(const LoadReport& report) const {
  const auto write_to = [](const std::string& file, const std::string& text) -> Result<void> {
    if (file.empty()) return {};
    if (file == "-") {
      print(text);
      return {};
    }
    const auto written = write_file_atomic(file, text, WriteMode::replace);
    return written ? Result<void>() : fail(written.error());
  };
  // The summary leaves standard output to those who asked for it.
  std::vector<std::vector<std::string>> rows = summary_rows(report);
  for (auto& row : rows) row.back() = printable(row.back());  // errors are the server's words
  const bool to_stderr = !is_summary() || options_.json == "-";
  std::fputs(as_columns(rows).c_str(), to_stderr ? stderr : stdout);
  if (!options_.json.empty()) {
    if (auto written = write_to(options_.json, to_json(report)); !written) return written;
  }
  if (!options_.csv.empty()) {
    if (auto written = write_to(options_.csv, to_csv(report)); !written) return written;
  }
  if (!options_.html.empty()) return write_to(options_.html, to_html(report));
  return {};
}

int LoadCommand::exit_code_of(const LoadReport& report, const Interrupts& interrupts) const {
  for (const std::string& condition : report.failed_conditions) complain("--fail-if '" + condition + "' holds.");
  if (!report.failed_conditions.empty()) return kExitConditionHolds;
  if (interrupts.token().stop_requested()) return exit_code(interrupts);
  if (!options_.fail_if.empty() || report.figures.failed == 0) return kExitOk;
  const bool any_answer = std::ranges::any_of(report.result.records, [](const auto& one) { return one.status != 0; });
  return any_answer ? kExitItemFailed : kExitUnreachable;
}

int LoadCommand::run() {
  raise_open_files_limit();
  ignore_sigpipe();
  Interrupts interrupts;
  const auto http =
      make_curl_client({.user_agent = "imgrec/" + std::string(version()), .ca_bundle = options_.plan.ca_bundle});
  std::optional<ServiceWatch> watch;
  if (options_.watch_service) watch.emplace(*http, options_.plan.target, options_.plan.api_key, clock_);
  const double cpu_before = cpu_seconds();
  const auto result = send(interrupts);
  const double cpu_used = cpu_seconds() - cpu_before;
  if (watch && !watch->is_refused() && result && options_.watch_after > Millis(0)) {
    progress_.show("watching the service");
    clock_.sleep_for(options_.watch_after, interrupts.token());
  }
  const ServiceSeen seen = watch ? watch->stop() : ServiceSeen{.problem = "not asked for"};
  progress_.clear();
  if (!result) return report(result.error(), interrupts);
  const Figures figures = figures_of(options_.plan, *result);
  LoadReport report_of{.plan = options_.plan,
                       .images = options_.images,
                       .result = *result,
                       .figures = figures,
                       .service = seen,
                       .is_interrupted = interrupts.token().stop_requested(),
                       .cpu_seconds = cpu_used};
  for (const FailIf& condition : options_.fail_if) {
    if (holds(condition, figures)) report_of.failed_conditions.push_back(condition.text);
  }
  if (result->has_too_many) complain("Ended early: one run keeps account of 20 million requests.");
  if (auto written = write(report_of); !written) return report(written.error());
  return exit_code_of(report_of, interrupts);
}

int run_load_command(const Invocation& call) {
  auto options = read_load_options(call);
  if (!options) return report(options.error());
  return LoadCommand(*std::move(options)).run();
}

}  // namespace

Command load_command() {
  return {
      .name = "load",
      .summary = "Send a workload to a service and measure it: latencies, errors, accuracy, machines, cost",
      .arguments = "FILE|FOLDER…",
      .arguments_min = 0,
      .arguments_max = 1'000'000,
      .settings = kConfigCommand,
      .examples = {{"imgrec load photos/", "each photo once, 100 at a time, to http://127.0.0.1:8000"},
                   {"imgrec load --rate 50 --duration 2m --warmup 10s --html report.html photos/", "50 a second"},
                   {"imgrec load --trace arrivals.csv --scale 2 --fail-if 'p99>2s' photos/",
                    "exit code 4 when it holds"},
                   {"imgrec load --num_request 100 --url 'http://HOST:8000/' --image_folder imagenet-100/",
                    "as the reference systems' workload generators"}},
      .options = load_own_options(),
      .notes =
          "With --rate, --ramp and --trace a latency counts from when the request was due, so that a service which\n"
          "stalls shows in all of them; requests that were sent late are counted. Latencies are those of the\n"
          "requests that were answered for all their images. IMGREC_API_KEY in the environment is sent as the key.\n"
          "Exits with 1 when a request failed, with 3 when none was answered; with --fail-if, that alone decides:\n"
          "0 or 4. Ctrl-C ends early with the figures so far (130).",
      .run = run_load_command};
}

}  // namespace imgrec
