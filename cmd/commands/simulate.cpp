// imgrec simulate
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/simulate/contest.hpp"
#include "roles/simulate/report_html.hpp"
#include "roles/simulate/tuning.hpp"

namespace imgrec {
namespace {

using namespace simulate;

constexpr std::uint64_t kTraceBytesMax = 256 * kMiB;
constexpr std::uint64_t kTunedBytesMax = kMiB;
constexpr std::uint64_t kCurveJobsMax = 1'000'000;
constexpr double kSeedsMax = 1000, kMachinesMax = 100'000, kDemandScaleMax = 1e9;

std::vector<std::string> names_of(const std::string& list) {
  std::vector<std::string> names;
  for (const std::string_view name : split(list, ',')) {
    if (!trim(name).empty()) names.emplace_back(trim(name));
  }
  return names;
}

/// The flag's number above 0 and up to `most`; nothing when it was not given.
Result<std::optional<double>> simulate_number(const Invocation& call, const std::string& flag, double most) {
  if (!call.has(flag)) return std::nullopt;
  const std::string text = call.option(flag);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value > most) {
    return fail(ErrorKind::invalid, "bad_option",
                flag + " cannot be " + json_quote(text) + ": give a number above 0, up to " +
                    std::to_string(static_cast<long long>(most)) + ".");
  }
  return value;
}

Result<void> add_policies(const std::string& list, std::vector<Contender>& all) {
  for (const std::string& name : names_of(list)) {
    if (name == "all") {
      for (const NamedPolicy& policy : policies()) all.push_back(contender(policy));
      continue;
    }
    const auto policy = find_policy(name);
    if (!policy) return fail(policy.error());
    all.push_back(contender(*policy));
  }
  return {};
}

Result<void> add_peers(const std::string& list, const Tuned& tuned, std::vector<Contender>& all) {
  std::vector<Peer> chosen;
  for (const std::string& name : names_of(list)) {
    if (name == "all") {
      chosen.insert(chosen.end(), peers().begin(), peers().end());
      continue;
    }
    const auto peer = find_peer(name);
    if (!peer) return fail(peer.error());
    chosen.push_back(*peer);
  }
  for (const Peer& peer : chosen) {
    all.push_back(contender(peer, peer.documented(), peer.name));
    const auto best = tuned.find(peer.name);
    if (best != tuned.end()) all.push_back(contender(peer, best->second, peer.name + std::string("-tuned")));
  }
  return {};
}

/// Policies and peers that were asked for: without any, every policy.
Result<std::vector<Contender>> contenders(const Invocation& call) {
  std::vector<Contender> all;
  Tuned tuned;
  if (call.has("--tuned")) {
    const auto text = read_file(call.option("--tuned"), kTunedBytesMax);
    if (!text) return fail(text.error());
    auto parsed = parse_tuned(*text, call.option("--tuned"));
    if (!parsed) return fail(parsed.error());
    tuned = *std::move(parsed);
  }
  const bool any = call.has("--policy") || call.has("--peer");
  if (auto added = add_policies(any ? call.option("--policy") : "all", all); !added) return fail(added.error());
  if (auto added = add_peers(call.option("--peer"), tuned, all); !added) return fail(added.error());
  return all;
}

Result<void> add_trace(const Invocation& call, const WorkerKind& kind, std::vector<Course>& all) {
  const auto scale = simulate_number(call, "--scale", kDemandScaleMax);
  if (!scale) return fail(scale.error());
  if (!call.has("--trace")) return {};
  const std::string file = call.option("--trace");
  const auto text = read_file(file, kTraceBytesMax);
  if (!text) return fail(text.error());
  const auto trace = parse_trace(*text, file);
  if (!trace) return fail(trace.error());
  all.push_back(course(*trace, *scale, kind));
  return {};
}

Result<void> add_scenarios(const Invocation& call, const WorkerKind& kind, std::vector<Course>& all) {
  const std::string list = call.has("--scenario") ? call.option("--scenario") : call.has("--trace") ? "" : "all";
  std::vector<std::string> names;
  for (const std::string& name : names_of(list)) {
    if (name != "all") {
      names.push_back(name);
      continue;
    }
    for (const ScenarioFile& file : scenario_files()) names.emplace_back(file.name);
  }
  for (const std::string& name : names) {
    const auto scenario = load_scenario(name, kind);
    if (!scenario) return fail(scenario.error());
    all.push_back(course(*scenario, kind));
  }
  return {};
}

Result<std::vector<Course>> courses(const Invocation& call) {
  std::vector<WorkerKind> kinds(worker_kinds().begin(), worker_kinds().end());
  if (call.has("--workers")) {
    const auto kind = find_worker_kind(call.option("--workers"));
    if (!kind) return fail(kind.error());
    kinds = {*kind};
  }
  const auto machines_max = simulate_number(call, "--max", kMachinesMax);
  if (!machines_max) return fail(machines_max.error());
  std::vector<Course> all;
  for (const WorkerKind& kind : kinds) {
    if (auto added = add_trace(call, kind, all); !added) return fail(added.error());
    if (auto added = add_scenarios(call, kind, all); !added) return fail(added.error());
  }
  if (*machines_max) {
    for (Course& one : all) one.machines_max = std::max(1, static_cast<int>(**machines_max));
  }
  return all;
}

int tune_peers(const Invocation& call, const std::vector<Course>& all) {
  Tuned tuned;
  for (const Peer& peer : peers()) {
    tuned[peer.name] = tune(peer, all);
    std::fprintf(stderr, "%s: tuned\n", peer.name);
  }
  const auto written = write_file_atomic(call.option("--tune"), to_toml(tuned), WriteMode::replace);
  return written ? kExitOk : report(written.error());
}

void print_curves(const Course& course, const std::vector<Contender>& all, int seeds) {
  for (int i = 1; i <= seeds; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    const Workload workload = course.workload(seed, kCurveJobsMax);
    for (const Contender& one : all) {
      Recording recording;
      run_once(course, one, workload, seed, &recording);
      std::printf("%s\n", curves_json(one.name, course.scenario.name, recording).c_str());
    }
  }
}

int run_simulate(const Invocation& call) {
  // What the controller's code logs is no news here.
  log::configure({.level = log::Level::error, .format = log::Format::text, .role = ""});
  const auto seeds = simulate_number(call, "--seeds", kSeedsMax);
  if (!seeds) return report(seeds.error());
  const auto all_courses = courses(call);
  if (!all_courses) return report(all_courses.error());
  if (call.has("--tune")) return tune_peers(call, *all_courses);
  const auto all = contenders(call);
  if (!all) return report(all.error());

  std::vector<Summary> summaries;
  std::vector<ReportPart> parts;
  for (const Course& one : *all_courses) {
    std::vector<Recording> recordings;
    const int runs = std::max(1, static_cast<int>(seeds->value_or(1)));
    if (call.has("--curves")) {
      print_curves(one, *all, runs);
      continue;
    }
    auto rows = run_course(one, *all, runs, call.has("--html") ? &recordings : nullptr);
    if (call.has("--json")) {
      for (const Summary& row : rows) std::printf("%s\n", to_json(row).c_str());
      std::fflush(stdout);
    }
    summaries.insert(summaries.end(), rows.begin(), rows.end());
    if (call.has("--html")) parts.push_back({one, std::move(rows), std::move(recordings)});
  }
  if (call.has("--curves")) return kExitOk;
  if (!call.has("--json")) std::fputs(as_columns(to_table(summaries)).c_str(), stdout);
  if (!call.has("--html")) return kExitOk;
  const auto written = write_file_atomic(call.option("--html"), to_html(parts), WriteMode::replace);
  return written ? kExitOk : report(written.error());
}

}  // namespace

Command simulate_command() {
  return {.name = "simulate",
          .summary = "Try scaling policies on a virtual clock: what they cost, and how long images wait",
          .settings = kConfigCommand,
          .examples = {{"imgrec simulate --scenario burst-100", "every policy, both kinds of workers"},
                       {"imgrec simulate --policy slo --scenario all --seeds 10 --json", "a line for each scenario"},
                       {"imgrec simulate --policy slo,depth --peer all --html report.html", "plots to look at"},
                       {"imgrec simulate --trace arrivals.csv --scale 20 --workers fast", "arrivals of your own"}},
          .options = {{"--policy", "LIST", "policies, separated by commas, or all (the default without --peer)"},
                      {"--peer", "LIST", "other autoscalers, or all: keda, sagemaker, asg-tracking, buildkite"},
                      {"--scenario", "LIST", "scenarios or TOML files, or all (the default without --trace)"},
                      {"--trace", "FILE", "arrivals: CSV with the header at_s or at_s,count"},
                      {"--scale", "NUMBER", "multiplies the trace's counts; else its busiest minute takes 50 machines"},
                      {"--workers", "KIND", "reference (0.8 images/s) or fast (two cores, int8); else both"},
                      {"--max", "NUMBER", "machines at most; else as the scenario says"},
                      {"--seeds", "NUMBER", "so many runs of each, with chances of their own (1)"},
                      {"--tune", "FILE", "search the best configuration of each peer, and write it there"},
                      {"--tuned", "FILE", "peers also as --tune found them best"},
                      {"--json", "", "one line for each policy and scenario"},
                      {"--curves", "", "one line of JSON for each run: messages and machines over time"},
                      {"--html", "FILE", "a report with plots, in one file"}},
          .notes = "Same options, same output. configs/scenarios/README.md describes scenarios and what is modelled.",
          .run = run_simulate};
}

}  // namespace imgrec
