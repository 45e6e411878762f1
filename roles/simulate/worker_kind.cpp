#include "roles/simulate/worker_kind.hpp"

#include <cmath>

namespace imgrec::simulate {
namespace {

// The median of a log-normal time with this mean.
double median_of(double mean_s, double sigma) {
  return mean_s / std::exp(sigma * sigma / 2);
}

constexpr double kReferenceSigma = 0.2;
constexpr double kFastSigma = 0.3;  // photos differ in size more than the network's time does

// A machine of user-data installs a bundle of some 100 MB and starts a worker: about 45 s, of which EC2 says "pending"
// for a third. Prices: Linux, on demand, us-east-1 (t2.micro, c6i.large).
constexpr LogNormal kBoot{.median_s = 45, .sigma = 0.25};
constexpr double kPendingShare = 0.33;

constexpr int kPrefetchMax = 20;  // worker.prefetch

}  // namespace

PrefetchWindow WorkerKind::window(bool knows_time, bool backlog) const {
  return prefetch_window({.threads = slots,
                          .prefetch_max = kPrefetchMax,
                          .mean_ms = knows_time ? std::optional(image_s.mean() * 1000) : std::nullopt,
                          .backlog = backlog});
}

std::span<const WorkerKind> worker_kinds() {
  static const WorkerKind kKinds[] = {
      {.name = "reference",
       .slots = 1,
       .image_s = {median_of(1 / 0.8, kReferenceSigma), kReferenceSigma},
       .boot_s = kBoot,
       .running_share = kPendingShare,
       .dollars_per_hour = 0.0116},
      {.name = "fast",
       .slots = 2,
       .image_s = {median_of(2 / (625 * 0.70), kFastSigma), kFastSigma},
       .boot_s = kBoot,
       .running_share = kPendingShare,
       .dollars_per_hour = 0.085},
  };
  return kKinds;
}

Result<WorkerKind> find_worker_kind(const std::string& name) {
  std::string names;
  for (const WorkerKind& kind : worker_kinds()) {
    if (kind.name == name) return kind;
    names += (names.empty() ? "" : ", ") + kind.name;
  }
  return fail(ErrorKind::invalid, "no_such_worker_kind",
              "There are no workers \"" + name + "\"; there are: " + names + ".");
}

}  // namespace imgrec::simulate
