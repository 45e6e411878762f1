// What happens to the service in a simulation: when images arrive, and what fails. Scenarios are TOML files
// (configs/scenarios, whose README says what may be in them); those of that folder are part of the program.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "roles/simulate/sim_time.hpp"
#include "roles/simulate/worker_kind.hpp"

namespace imgrec::simulate {

/// Images of one stretch of time: `images` at once, or a Poisson process whose rate goes from `rate_begin` to
/// `rate_end` in a line, and around that line in waves.
struct ArrivalPart {
  double from_s = 0, to_s = 0;
  double images = 0;                    // all at from_s
  std::vector<double> at_s{};           // one image at each of these
  double rate_begin = 0, rate_end = 0;  // images per second
  double wave_period_s = 0;             // 0: no waves
  double wave_low = 1;                  // the least of a wave, as a part of the line; it begins there
};

/// A stretch of time in which something is wrong.
struct FaultWindow {
  double from_s = 0, to_s = 0;
  std::optional<int> capacity{};  // machines at most that the cloud has to give
  double launch_throttled = 0;    // chance that a launch is refused
  double launch_reply_lost = 0;   // chance that a launch happens and its answer does not arrive
  double shown_late_s = 0;        // until the cloud shows what was launched to who did not hear its answer
  double unreadable = 0;          // chance that a look sees nothing
  double counts_late_s = 0;       // the queue's counts are as old as this
  double controller_killed = 0;   // chance at each call to the cloud; before or after it does what it asks for
  bool controller_down = false;   // a controller that has forgotten everything comes back at the end
  bool signals_lost = false;

  bool holds(double at_s) const { return at_s >= from_s && at_s < to_s; }
};

/// Where a service differs from one on AWS.
struct ServiceModel {
  double counts_late_s = 2;      // mean lateness of the queue's counts
  double counts_off = 0.05;      // their standard deviation, where they are above ten
  double look_s = 0;             // between two looks; 0: as the policy suggests
  double drain_timeout_s = 120;  // after which an instance is ended, when no worker took the request to stop
  double stop_check_s = 10;      // an idle worker looks so often for a request to stop
};

struct Scenario {
  std::string name{}, about{};
  double duration_s = 0;  // images come within; machines that are left are billed to its end
  int machines_max = 20;
  std::vector<ArrivalPart> arrivals{};
  std::vector<FaultWindow> faults{};
  double losses_per_machine_hour = 0;   // machines that end by themselves: Spot, crashes
  bool loss_notice = true;              // their workers are told before and finish what they hold
  std::optional<WorkerKind> workers{};  // of its own, in the place of the kind that was chosen
  ServiceModel service{};

  FaultWindow faults_at(double at_s) const;  // all that hold, as one
};

struct ScenarioFile {
  const char* name;
  const char* text;
};

/// Those that are part of the program, by name.
std::span<const ScenarioFile> scenario_files();

/// A scenario's text; loads that are said in machines are of this kind of worker. `shown`: what errors call it. Errors:
/// invalid "bad_scenario" (with the line).
Result<Scenario> parse_scenario(const std::string& text, const std::string& shown, const WorkerKind& kind);

/// One that is part of the program, or else a file. Errors: as parse_scenario, and those of read_file.
Result<Scenario> load_scenario(const std::string& name_or_file, const WorkerKind& kind);

}  // namespace imgrec::simulate
