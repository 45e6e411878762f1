// Policies and peers against each other: the same scenarios, the same arrivals, the same boots.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "roles/simulate/outcome.hpp"
#include "roles/simulate/peers/peer.hpp"
#include "roles/simulate/simulation.hpp"
#include "roles/simulate/trace.hpp"

namespace imgrec::simulate {

struct Contender {
  std::string name;
  bool is_peer = false;
  std::function<ScalerFactory(const PeerPlace&)> make;
};

Contender contender(const NamedPolicy& policy);
Contender contender(const Peer& peer, const KnobValues& knobs, const std::string& name);

/// A scenario, or a trace, for one kind of workers.
struct Course {
  WorkerKind kind;
  Scenario scenario;
  std::function<Workload(std::uint64_t seed, std::uint64_t jobs_max)> workload;
  int machines_max = 20;
};

Course course(const Scenario& scenario, const WorkerKind& kind);
/// With machines enough for four times the trace's peak of `peak_machines`, for which it is scaled without a scale.
Course course(const Trace& trace, std::optional<double> scale, const WorkerKind& kind);

/// Images are wanted within this time.
constexpr double kWantedWaitS = 30;

/// One summary for each contender, in order, over the seeds 1 to `seeds`. `recordings`: null, or one for each
/// contender, of the first seed.
std::vector<Summary> run_course(const Course& course, const std::vector<Contender>& contenders, int seeds,
                                std::vector<Recording>* recordings = nullptr);

/// The outcome of one contender with the arrivals of one seed, which may have been made before.
Outcome run_once(const Course& course, const Contender& contender, const Workload& workload, std::uint64_t seed,
                 Recording* recording = nullptr);

}  // namespace imgrec::simulate
