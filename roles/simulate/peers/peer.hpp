// The autoscalers that people use today, from their documented formulas, periods and cooldowns. Where a document leaves
// something open, the kinder reading for the peer is taken.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "roles/simulate/scaler.hpp"
#include "roles/simulate/worker_kind.hpp"

namespace imgrec::simulate {

struct PeerKnob {
  const char* name;
  double otherwise;           // as documented
  std::vector<double> tried;  // by the search for the best configuration
};

/// What a person who sets up the peer knows.
struct PeerPlace {
  const WorkerKind& kind;
  int machines_max = 20;
  double wanted_wait_s = 30;
};

/// One value for each knob, in their order.
using KnobValues = std::vector<double>;

struct Peer {
  const char* name;
  const char* summary;
  std::vector<PeerKnob> knobs;
  ScalerFactory (*make)(const KnobValues&, const PeerPlace&);

  KnobValues documented() const;
};

/// Every peer, one line each.
std::span<const Peer> peers();

/// Errors: invalid "no_such_peer" (names those there are).
Result<Peer> find_peer(const std::string& name);

// One file each: KEDA's aws-sqs-queue with the HPA and a node autoscaler; SageMaker asynchronous inference; an Auto
// Scaling Group that tracks its backlog per instance; Buildkite's agent scaler.
Peer keda_peer();
Peer sagemaker_peer();
Peer asg_peer();
Peer buildkite_peer();

}  // namespace imgrec::simulate
