#include "roles/simulate/contest.hpp"

#include <algorithm>

namespace imgrec::simulate {
namespace {

constexpr double kPeakMachines = 50;  // of a trace without a scale
constexpr int kRoomOverPeak = 4;
constexpr double kSamplesOfRecording = 400;
constexpr std::uint64_t kContestJobsMax = 1'000'000;

}  // namespace

Contender contender(const NamedPolicy& policy) {
  return {.name = policy.name, .is_peer = false, .make = [policy](const PeerPlace& place) {
            return policy_scaler(policy,
                                 {.min = std::min(policy.suggested.min, place.machines_max),
                                  .max = place.machines_max,
                                  .wanted_wait = std::chrono::duration_cast<Millis>(from_seconds(place.wanted_wait_s)),
                                  .instance_dollars_per_hour = place.kind.dollars_per_hour});
          }};
}

Contender contender(const Peer& peer, const KnobValues& knobs, const std::string& name) {
  return {.name = name, .is_peer = true, .make = [make = peer.make, knobs](const PeerPlace& place) {
            return make(knobs, place);
          }};
}

Course course(const Scenario& scenario, const WorkerKind& kind) {
  const WorkerKind own = scenario.workers.value_or(kind);
  return {.kind = own,
          .scenario = scenario,
          .workload = [scenario, own](std::uint64_t seed,
                                      std::uint64_t jobs_max) { return make_workload(scenario, own, seed, jobs_max); },
          .machines_max = scenario.machines_max};
}

Course course(const Trace& trace, std::optional<double> scale, const WorkerKind& kind) {
  const double factor = scale.value_or(scale_for_peak(trace, kind, kPeakMachines));
  const Scenario scenario{.name = trace.name,
                          .about = "a trace of arrivals",
                          .duration_s = trace.duration_s(),
                          .machines_max = kRoomOverPeak * static_cast<int>(kPeakMachines)};
  return {.kind = kind,
          .scenario = scenario,
          .workload = [trace, factor, kind](
                          std::uint64_t seed,
                          std::uint64_t jobs_max) { return make_workload(trace, factor, kind, seed, jobs_max); },
          .machines_max = scenario.machines_max};
}

std::vector<Summary> run_course(const Course& course, const std::vector<Contender>& contenders, int seeds,
                                std::vector<Recording>* recordings) {
  std::vector<Summary> summaries;
  for (const Contender& one : contenders) {
    summaries.push_back({.policy = one.name,
                         .scenario = course.scenario.name,
                         .workers = course.kind.name,
                         .is_peer = one.is_peer,
                         .machines_allowed = course.machines_max});
  }
  if (recordings != nullptr) {
    recordings->assign(contenders.size(),
                       {.sample_every_s = std::max(1.0, course.scenario.duration_s / kSamplesOfRecording)});
  }
  for (int i = 1; i <= seeds; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    const Workload workload = course.workload(seed, kContestJobsMax);
    for (std::size_t j = 0; j < contenders.size(); ++j) {
      Recording* recording = recordings != nullptr && i == 1 ? &(*recordings)[j] : nullptr;
      summaries[j].images_per_job = workload.images_per_job;
      summaries[j].add(run_once(course, contenders[j], workload, seed, recording));
    }
  }
  return summaries;
}

Outcome run_once(const Course& course, const Contender& contender, const Workload& workload, std::uint64_t seed,
                 Recording* recording) {
  const PeerPlace place{.kind = course.kind, .machines_max = course.machines_max, .wanted_wait_s = kWantedWaitS};
  const Setup setup{.scenario = course.scenario,
                    .kind = course.kind,
                    .workload = workload,
                    .machines_max = course.machines_max,
                    .wanted_wait_s = kWantedWaitS,
                    .seed = seed};
  return simulate(setup, contender.make(place), recording);
}

}  // namespace imgrec::simulate
