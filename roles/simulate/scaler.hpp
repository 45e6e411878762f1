// Who decides how many machines there should be: one of the controller's policies, or a peer.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "roles/controller/round.hpp"
#include "roles/simulate/sim_time.hpp"

namespace imgrec::simulate {

/// Pure, as policies are: no clock, no randomness of its own.
class Scaler {
 public:
  virtual ~Scaler() = default;
  virtual Span period() const = 0;
  /// A signal of arrivals after a quiet time makes it look at once.
  virtual bool wakes_on_arrivals() const { return false; }
  /// It reads what web nodes and workers signal.
  virtual bool reads_signals() const { return false; }
  /// Machines that are too many can be asked to stop, rather than told to end.
  virtual bool can_ask() const { return false; }
  virtual RoundOutcome look(const Observation& observation) = 0;
  virtual void not_observed() = 0;

  /// Told by whoever applies what it decides.
  StartFailures& starts() { return starts_; }

 protected:
  explicit Scaler(const StartRules& rules) : starts_(rules) {}

 private:
  StartFailures starts_;
};

/// Makes one that remembers nothing: at the begin, and after a crash of the controller.
using ScalerFactory = std::function<std::unique_ptr<Scaler>()>;

/// One of the controller's policies, run by the controller's own round. The reference systems' presets look as often as
/// was published, and see the queue's counts alone; the others are woken by signals and read them.
ScalerFactory policy_scaler(const NamedPolicy& policy, const ScalingRules& rules);

}  // namespace imgrec::simulate
