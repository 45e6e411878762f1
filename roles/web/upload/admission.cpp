#include "roles/web/upload/admission.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace imgrec {
namespace {

constexpr Millis kWindow{5'000};
constexpr Millis kSlot{100};
constexpr Millis kMeasuredMin{500};
constexpr double kRetryAfterMinS = 1, kRetryAfterMaxS = 30;

}  // namespace

void Admission::answered(std::size_t pending, MonoTime now) {
  forget_old(now);
  if (pending <= rules_.queue_jobs_min / 2) {
    slots_.clear();
    return;
  }
  // The first answer begins the measurement and is not counted: how long it was under way says nothing of the rate.
  if (slots_.empty()) {
    measured_since_ = now;
    slots_.push_back({.begin = now, .answers = 0});
    return;
  }
  if (now - slots_.back().begin >= kSlot) slots_.push_back({.begin = now, .answers = 0});
  ++slots_.back().answers;
}

void Admission::forget_old(MonoTime now) {
  while (!slots_.empty() && now - slots_.front().begin >= kWindow) {
    slots_.pop_front();
    if (!slots_.empty()) measured_since_ = slots_.front().begin;
  }
}

std::optional<double> Admission::rate(MonoTime now) const {
  if (slots_.empty() || now - slots_.back().begin >= kWindow) return std::nullopt;
  const auto measured = now - measured_since_;
  if (measured < kMeasuredMin) return std::nullopt;
  double answers = 0;
  for (const Slot& slot : slots_) answers += slot.answers;
  if (answers == 0) return std::nullopt;
  return answers / std::chrono::duration<double>(measured).count();
}

Admission::Decision Admission::decide(std::size_t pending, MonoTime now) {
  forget_old(now);
  Decision decision;
  const auto per_second = rate(now);
  if (per_second) decision.wait = Millis(std::llround(1000.0 * static_cast<double>(pending) / *per_second));
  const bool too_long = decision.wait && *decision.wait > rules_.queue_wait_max && pending > rules_.queue_jobs_min;
  decision.accepted = !too_long && pending < rules_.pending_jobs_max;
  if (decision.accepted) return decision;
  const Millis over = decision.wait.value_or(rules_.queue_wait_max) - rules_.queue_wait_max;
  const double seconds = std::ceil(static_cast<double>(over.count()) / 1000.0);
  decision.retry_after = Seconds(std::llround(std::clamp(seconds, kRetryAfterMinS, kRetryAfterMaxS)));
  return decision;
}

}  // namespace imgrec
