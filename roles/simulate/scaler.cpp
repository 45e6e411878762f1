#include "roles/simulate/scaler.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace imgrec::simulate {
namespace {

constexpr std::array<std::string_view, 5> kPresets = {"depth", "per-batch", "warm", "drain-pool", "alarm"};

class PolicyScaler final : public Scaler {
 public:
  PolicyScaler(const NamedPolicy& policy, const ScalingRules& rules)
      : Scaler({}),
        period_(policy.suggested.interval),
        is_preset_(std::ranges::find(kPresets, std::string_view(policy.name)) != kPresets.end()),
        round_(policy.decide, rules, starts()) {}

  Span period() const override { return period_; }
  bool wakes_on_arrivals() const override { return !is_preset_; }
  bool reads_signals() const override { return !is_preset_; }
  bool can_ask() const override { return true; }
  RoundOutcome look(const Observation& observation) override { return round_.decide(observation); }
  void not_observed() override { round_.not_observed(); }

 private:
  const Span period_;
  const bool is_preset_;
  Round round_;
};

}  // namespace

ScalerFactory policy_scaler(const NamedPolicy& policy, const ScalingRules& rules) {
  return [policy, rules] { return std::make_unique<PolicyScaler>(policy, rules); };
}

}  // namespace imgrec::simulate
