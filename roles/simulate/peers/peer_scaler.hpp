// What the peers' scalers share: a number of machines becomes launches and terminations. Private to this folder.
#pragma once

#include <algorithm>
#include <deque>
#include <string>

#include "roles/simulate/scaler.hpp"

namespace imgrec::simulate {

class PeerScaler : public Scaler {
 public:
  Span period() const override { return period_; }
  RoundOutcome look(const Observation& observation) override {
    const int number = std::clamp(wanted(observation), min_, max_);
    Decision decision{.wanted = number, .why = why_, .ending = Ending::terminate};
    Actions actions = reconcile(observation, decision, {.min = min_, .max = max_});
    return {.decision = std::move(decision), .actions = std::move(actions)};
  }
  void not_observed() override {}

 protected:
  PeerScaler(Span period, int min, int max) : Scaler({}), period_(period), min_(min), max_(max) {}

  virtual int wanted(const Observation& observation) = 0;

  int max() const { return max_; }
  int min() const { return min_; }
  void explain(std::string why) { why_ = std::move(why); }

 private:
  const Span period_;
  const int min_, max_;
  std::string why_;
};

/// The highest of what was recorded within a window of time.
class HighestWithin {
 public:
  explicit HighestWithin(Span window) : window_(window) {}
  int record(MonoTime at, int value) {
    while (!values_.empty() && values_.back().value <= value) values_.pop_back();
    values_.push_back({at, value});
    while (!values_.empty() && values_.front().at <= at - window_) values_.pop_front();
    return values_.empty() ? value : values_.front().value;
  }

 private:
  struct Value {
    MonoTime at;
    int value;
  };
  const Span window_;
  std::deque<Value> values_;  // falling: each is the highest of those after it
};

/// A CloudWatch alarm over datapoints of one period each: in alarm when the latest `needed` of them all breach.
class DatapointsInARow {
 public:
  explicit DatapointsInARow(int needed) : needed_(needed) {}
  bool add(bool breaches) {
    count_ = breaches ? count_ + 1 : 0;
    return count_ >= needed_;
  }
  void clear() { count_ = 0; }

 private:
  const int needed_;
  int count_ = 0;
};

}  // namespace imgrec::simulate
