// What a worker machine does in which time, and what it costs.
#pragma once

#include <span>
#include <string>

#include "lib/arrivals/distributions.hpp"
#include "lib/base/result.hpp"
#include "roles/worker/prefetch.hpp"

namespace imgrec::simulate {

constexpr double kBilledMinS = 60;  // of each machine

struct WorkerKind {
  std::string name;
  int slots = 1;             // images that it works on at a time
  LogNormal image_s;         // of one image in one slot
  LogNormal boot_s;          // from the launch until its worker takes work
  double running_share = 0;  // of the boot, after which the cloud calls it running, and bills it
  double dollars_per_hour = 0;

  /// Images per second of one machine with work in every slot.
  double images_per_s() const { return slots / image_s.mean(); }

  /// Messages that a worker holds and asks for: the worker's own rule (roles/worker/prefetch.hpp). `knows_time`: it has
  /// finished an image; `backlog`: its last call brought as many as it asked for.
  PrefetchWindow window(bool knows_time, bool backlog) const;
};

/// `reference`: one image at a time, 0.8 images a second, as a t2.micro ran the reference systems' classifier.
/// `fast`: ResNet-18 in int8 on two cores (README, "Measured": 625 photos/s, of which the whole service keeps 0.70).
std::span<const WorkerKind> worker_kinds();

/// Errors: invalid "no_such_worker_kind" (names those there are).
Result<WorkerKind> find_worker_kind(const std::string& name);

}  // namespace imgrec::simulate
