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
#include "lib/config/values.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/simulate/simulation.hpp"
#include "roles/simulate/trace.hpp"

namespace imgrec {
namespace {

using namespace simulate;

constexpr std::uint64_t kTraceBytesMax = 256 * kMiB;
constexpr double kPeakMachines = 50;  // of a trace, when no scale is given
constexpr std::int64_t kSeedsMax = 1000, kMachinesMax = 100'000;

struct Contender {
  std::string name;
  bool is_peer = false;
  std::function<ScalerFactory(const WorkerKind&, const Scenario&, int machines_max)> make;
};

/// A scenario of the table, or a trace, as it is for one kind of workers.
struct Course {
  Scenario scenario;
  std::function<Workload(std::uint64_t seed)> workload;
};

std::vector<std::string> names_of(const std::string& list) {
  std::vector<std::string> names;
  for (const std::string_view name : split(list, ',')) {
    if (!trim(name).empty()) names.emplace_back(trim(name));
  }
  return names;
}

Contender contender(const NamedPolicy& policy, Millis wanted_wait) {
  return {.name = policy.name,
          .is_peer = false,
          .make = [policy, wanted_wait](const WorkerKind& kind, const Scenario&, int machines_max) {
            return policy_scaler(policy, {.min = std::min(policy.suggested.min, machines_max),
                                          .max = machines_max,
                                          .wanted_wait = wanted_wait,
                                          .instance_dollars_per_hour = kind.dollars_per_hour});
          }};
}

Result<std::vector<Contender>> contenders(const Invocation& call, Millis wanted_wait) {
  std::vector<Contender> all;
  const std::string policy_list = call.has("--policy") ? call.option("--policy") : "all";
  for (const std::string& name : names_of(policy_list)) {
    if (name == "all") {
      for (const NamedPolicy& policy : policies()) all.push_back(contender(policy, wanted_wait));
      continue;
    }
    const auto policy = find_policy(name);
    if (!policy) return fail(policy.error());
    all.push_back(contender(*policy, wanted_wait));
  }
  return all;
}

Result<double> number_option(const Invocation& call, const std::string& flag, double most, double otherwise) {
  if (!call.has(flag)) return otherwise;
  const std::string text = call.option(flag);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value > most) {
    return fail(ErrorKind::invalid, "bad_option", flag + " is a number above 0, not " + json_quote(text) + ".");
  }
  return value;
}

Result<std::vector<Course>> courses(const Invocation& call, const WorkerKind& kind) {
  std::vector<Course> all;
  const auto scale = number_option(call, "--scale", 1e9, 0);
  if (!scale) return fail(scale.error());
  if (call.has("--trace")) {
    const std::string file = call.option("--trace");
    const auto text = read_file(file, kTraceBytesMax);
    if (!text) return fail(text.error());
    auto trace = parse_trace(*text, file);
    if (!trace) return fail(trace.error());
    const double factor = *scale > 0 ? *scale : scale_for_peak(*trace, kind, kPeakMachines);
    Scenario scenario{.name = trace->name,
                      .about = "arrivals of " + file,
                      .duration_s = trace->duration_s(),
                      .machines_max = static_cast<int>(4 * kPeakMachines)};
    all.push_back({.scenario = std::move(scenario), .workload = [trace = *std::move(trace), factor, kind](auto seed) {
                     return make_workload(trace, factor, kind, seed);
                   }});
  }
  const std::string list = call.has("--scenario") ? call.option("--scenario") : call.has("--trace") ? "" : "all";
  std::vector<std::string> names;
  for (const std::string& name : names_of(list)) {
    if (name == "all") {
      for (const ScenarioFile& file : scenario_files()) names.emplace_back(file.name);
    } else {
      names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    auto scenario = load_scenario(name, kind);
    if (!scenario) return fail(scenario.error());
    all.push_back({.scenario = *scenario, .workload = [scenario = *scenario, kind](auto seed) {
                     return make_workload(scenario, kind, seed);
                   }});
  }
  return all;
}

int run_simulate(const Invocation& call) {
  log::configure({.level = log::Level::error,
                  .format = log::Format::text,
                  .role = ""});  // what the controller's code logs is no news here
  std::vector<WorkerKind> kinds(worker_kinds().begin(), worker_kinds().end());
  if (call.has("--workers")) {
    const auto kind = find_worker_kind(call.option("--workers"));
    if (!kind) return report(kind.error());
    kinds = {*kind};
  }
  const auto seeds = number_option(call, "--seeds", kSeedsMax, 1);
  if (!seeds) return report(seeds.error());
  const auto machines_max = number_option(call, "--max", kMachinesMax, 0);
  if (!machines_max) return report(machines_max.error());
  constexpr Millis kWantedWait{30'000};
  const auto all = contenders(call, kWantedWait);
  if (!all) return report(all.error());

  std::vector<Summary> summaries;
  for (const WorkerKind& kind : kinds) {
    const auto kind_courses = courses(call, kind);
    if (!kind_courses) return report(kind_courses.error());
    for (const Course& course : *kind_courses) {
      const int most = *machines_max > 0 ? static_cast<int>(*machines_max) : course.scenario.machines_max;
      std::vector<Summary> rows;
      for (const Contender& one : *all) {
        rows.push_back({.policy = one.name,
                        .scenario = course.scenario.name,
                        .workers = kind.name,
                        .is_peer = one.is_peer,
                        .machines_allowed = most});
      }
      for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(*seeds); ++seed) {
        const Workload workload = course.workload(seed);
        const Setup setup{.scenario = course.scenario,
                          .kind = kind,
                          .workload = workload,
                          .machines_max = most,
                          .wanted_wait_s = static_cast<double>(kWantedWait.count()) / 1000,
                          .seed = seed};
        for (std::size_t i = 0; i < rows.size(); ++i) {
          rows[i].images_per_job = workload.images_per_job;
          rows[i].add(simulate::simulate(setup, (*all)[i].make(kind, course.scenario, most)));
        }
      }
      for (Summary& row : rows) {
        if (call.has("--json")) std::printf("%s\n", to_json(row).c_str());
        summaries.push_back(std::move(row));
      }
    }
  }
  if (!call.has("--json")) std::fputs(as_columns(to_table(summaries)).c_str(), stdout);
  return kExitOk;
}

}  // namespace

Command simulate_command() {
  return {.name = "simulate",
          .summary = "Try scaling policies on a virtual clock: what they cost, and how long images wait",
          .settings = kConfigCommand,
          .examples = {{"imgrec simulate --scenario burst-100", "every policy, both kinds of workers"},
                       {"imgrec simulate --policy slo --scenario all --seeds 10 --json", "a line for each scenario"},
                       {"imgrec simulate --trace arrivals.csv --scale 20 --workers fast", "arrivals of your own"}},
          .options = {{"--policy", "LIST", "policies, separated by commas, or all (the default)"},
                      {"--scenario", "LIST", "scenarios or TOML files, or all (the default without --trace)"},
                      {"--trace", "FILE", "arrivals: CSV with the header at_s or at_s,count"},
                      {"--scale", "NUMBER", "multiplies the trace's counts; else its busiest minute takes 50 machines"},
                      {"--workers", "KIND", "reference (0.8 images/s) or fast (two cores, int8); else both"},
                      {"--max", "NUMBER", "machines at most; else as the scenario says"},
                      {"--seeds", "NUMBER", "so many runs of each, with chances of their own (1)"},
                      {"--json", "", "one line for each policy and scenario"}},
          .notes = "Same options, same output. configs/scenarios/README.md describes scenarios and what is modelled.",
          .run = run_simulate};
}

}  // namespace imgrec
