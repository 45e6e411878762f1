// The images of a simulation: when each arrives and how long it takes to work on it.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/rng.hpp"
#include "roles/simulate/scenario.hpp"

namespace imgrec::simulate {

/// Images that arrive together and are worked on by one slot, one after the other.
struct Job {
  MonoTime at{};
  float service_s = 0;  // of all its images together
  std::uint32_t images = 1;
};

struct Workload {
  std::vector<Job> jobs{};  // by time
  std::uint64_t images = 0;
  double service_s = 0;  // of all of them
  int images_per_job = 1;
};

/// Images per second at an instant.
double rate_at(const ArrivalPart& part, double at_s);

/// Every arrival of a scenario, in order; the same for the same seed. Where there are more than jobs_max images, some
/// that follow each other are one job, as long as such a job keeps a slot for no longer than a second: that is how a
/// day of a fast service is simulated in seconds, and waiting times are coarser by that second.
Workload make_workload(const Scenario& scenario, const WorkerKind& kind, std::uint64_t seed,
                       std::uint64_t jobs_max = 1'000'000);

/// Fills in how long each job takes, and the sums, and sorts by time.
void finish_workload(Workload& workload, const WorkerKind& kind, Rng& rng);

/// How many images to put into one job, when there are so many of them.
int images_per_job(double images, const WorkerKind& kind, std::uint64_t jobs_max);

}  // namespace imgrec::simulate
