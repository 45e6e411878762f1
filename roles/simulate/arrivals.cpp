#include "roles/simulate/arrivals.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace imgrec::simulate {
namespace {

constexpr double kJobSecondsMax = 1;
constexpr double kQuietStepS = 1;  // how far to look on where the rate is zero

double expected_images(const ArrivalPart& part) {
  const double wave_mean = part.wave_period_s > 0 ? (1 + part.wave_low) / 2 : 1;
  return part.images + static_cast<double>(part.at_s.size()) +
         (part.to_s - part.from_s) * (part.rate_begin + part.rate_end) / 2 * wave_mean;
}

void add_at_once(const ArrivalPart& part, int group, std::vector<Job>& jobs) {
  auto left = static_cast<std::uint64_t>(part.images);
  const MonoTime at = kBegin + from_seconds(part.from_s);
  while (left > 0) {
    const auto images = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, static_cast<std::uint64_t>(group)));
    jobs.push_back({.at = at, .images = images});
    left -= images;
  }
}

// Single images: a Poisson process, thinned from the highest rate (Lewis and Shedler, 1979).
void add_single(const ArrivalPart& part, Rng& rng, std::vector<Job>& jobs) {
  const double highest = std::max(part.rate_begin, part.rate_end);
  if (highest <= 0) return;
  double at_s = part.from_s + sample_exponential(rng, 1 / highest);
  while (at_s < part.to_s) {
    if (rng.next_unit() * highest < rate_at(part, at_s)) jobs.push_back({.at = kBegin + from_seconds(at_s)});
    at_s += sample_exponential(rng, 1 / highest);
  }
}

// Groups: the time in which a Poisson process brings `group` images is nearly normal, with a deviation of 1/√group.
void add_groups(const ArrivalPart& part, int group, Rng& rng, std::vector<Job>& jobs) {
  const double deviation = 1 / std::sqrt(static_cast<double>(group));
  double at_s = part.from_s;
  for (;;) {
    const double rate = rate_at(part, at_s);
    const double gap_s = rate > 0 ? group / rate * std::max(0.0, 1 + deviation * sample_normal(rng)) : kQuietStepS;
    // A rate that was nearly zero may be another by the end of so long a gap.
    if (gap_s > 60 * kQuietStepS) {
      at_s += kQuietStepS;
      if (at_s >= part.to_s) return;
      if (rng.next_unit() * group >= rate * kQuietStepS) continue;
    } else {
      at_s += gap_s;
      if (at_s >= part.to_s) return;
      if (rate <= 0) continue;
    }
    jobs.push_back({.at = kBegin + from_seconds(at_s), .images = static_cast<std::uint32_t>(group)});
  }
}

}  // namespace

double rate_at(const ArrivalPart& part, double at_s) {
  const double share = part.to_s > part.from_s ? (at_s - part.from_s) / (part.to_s - part.from_s) : 0;
  const double line = part.rate_begin + (part.rate_end - part.rate_begin) * share;
  if (part.wave_period_s <= 0) return line;
  const double wave = (1 - std::cos(2 * std::numbers::pi * (at_s - part.from_s) / part.wave_period_s)) / 2;
  return line * (part.wave_low + (1 - part.wave_low) * wave);
}

int images_per_job(double images, const WorkerKind& kind, std::uint64_t jobs_max) {
  const double wanted = std::ceil(images / static_cast<double>(jobs_max));
  const double most = std::max(1.0, std::floor(kJobSecondsMax / kind.image_s.mean()));
  return static_cast<int>(std::clamp(wanted, 1.0, most));
}

void finish_workload(Workload& workload, const WorkerKind& kind, Rng& rng) {
  std::ranges::stable_sort(workload.jobs, {}, &Job::at);
  const double mean = kind.image_s.mean();
  for (Job& job : workload.jobs) {
    double service_s = kind.image_s.sample(rng);
    if (job.images > 1) {
      const double deviation = kind.image_s.sigma / std::sqrt(static_cast<double>(job.images));
      service_s = mean * job.images * std::max(0.1, 1 + deviation * sample_normal(rng));
    }
    job.service_s = static_cast<float>(service_s);
    workload.images += job.images;
    workload.service_s += static_cast<double>(job.service_s);
  }
}

Workload make_workload(const Scenario& scenario, const WorkerKind& kind, std::uint64_t seed, std::uint64_t jobs_max) {
  SplitMix64 rng(seed);
  double images = 0;
  for (const ArrivalPart& part : scenario.arrivals) images += expected_images(part);
  Workload workload{.images_per_job = images_per_job(images, kind, jobs_max)};
  for (const ArrivalPart& part : scenario.arrivals) {
    add_at_once(part, workload.images_per_job, workload.jobs);
    for (const double at_s : part.at_s) workload.jobs.push_back({.at = kBegin + from_seconds(at_s)});
    if (workload.images_per_job == 1) {
      add_single(part, rng, workload.jobs);
    } else {
      add_groups(part, workload.images_per_job, rng, workload.jobs);
    }
  }
  finish_workload(workload, kind, rng);
  return workload;
}

}  // namespace imgrec::simulate
