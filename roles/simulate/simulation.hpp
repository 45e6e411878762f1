// Discrete events on a virtual clock: images arrive, machines boot, work and end, and whoever scales looks now and
// then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "roles/simulate/arrivals.hpp"
#include "roles/simulate/outcome.hpp"
#include "roles/simulate/scaler.hpp"
#include "roles/simulate/scenario.hpp"

namespace imgrec::simulate {

struct Setup {
  const Scenario& scenario;
  const WorkerKind& kind;
  const Workload& workload;
  int machines_max = 20;
  double wanted_wait_s = 30;
  std::uint64_t seed = 1;
};

/// What happened, for plots.
struct Recording {
  struct Sample {
    double at_s = 0;
    std::uint64_t visible = 0, in_flight = 0;
    int booting = 0, working = 0, ending = 0, wanted = 0;
    double dollars = 0;     // so far, machines alone
    double wait_p95_s = 0;  // of the images answered since the sample before; negative: none was
  };
  struct Decision {
    double at_s = 0;
    int wanted = 0, launch = 0, end = 0;
    std::string why;
  };
  double sample_every_s = 1;
  std::vector<Sample> samples{};
  std::vector<Decision> decisions{};  // those that did something, the first kDecisionsMax
  static constexpr std::size_t kDecisionsMax = 400;
};

/// One line of JSON, without its end: the samples in columns, as lists of numbers.
std::string curves_json(const std::string& policy, const std::string& scenario, const Recording& recording);

/// Runs until the scenario's end and until every image is answered, or for two hours more. The same setup and scaler
/// give the same outcome, bit for bit, on the same machine. Precondition: kind.slots is at most kSlotsMax.
/// `recording` may be null.
Outcome simulate(const Setup& setup, const ScalerFactory& make_scaler, Recording* recording = nullptr);

}  // namespace imgrec::simulate
