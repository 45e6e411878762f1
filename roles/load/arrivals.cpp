#include "roles/load/arrivals.hpp"

#include <algorithm>

#include "lib/arrivals/distributions.hpp"

namespace imgrec::load {
namespace {

class PoissonArrivals final : public Arrivals {
 public:
  PoissonArrivals(const OpenModel& model, double ramp_s, std::uint64_t seed)
      : begin_(model.rate_begin), end_(model.rate_end), ramp_s_(ramp_s), rng_(seed) {}

  // Thinned from the highest rate (Lewis and Shedler, 1979).
  std::optional<double> next() override {
    const double highest = std::max(begin_, end_);
    do {
      at_s_ += sample_exponential(rng_, 1 / highest);
      if (at_s_ >= ramp_s_ && end_ <= 0) return std::nullopt;
    } while (begin_ != end_ && rng_.next_unit() * highest >= rate());
    return at_s_;
  }

 private:
  double rate() const { return at_s_ >= ramp_s_ ? end_ : begin_ + (end_ - begin_) * at_s_ / ramp_s_; }

  const double begin_, end_, ramp_s_;
  double at_s_ = 0;
  SplitMix64 rng_;
};

class GivenArrivals final : public Arrivals {
 public:
  explicit GivenArrivals(const std::vector<double>& at_s) : at_s_(at_s) {}
  std::optional<double> next() override { return used_ < at_s_.size() ? std::optional(at_s_[used_++]) : std::nullopt; }

 private:
  const std::vector<double>& at_s_;
  std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Arrivals> make_arrivals(const OpenModel& model, double ramp_s, std::uint64_t seed) {
  if (!model.at_s.empty()) return std::make_unique<GivenArrivals>(model.at_s);
  return std::make_unique<PoissonArrivals>(model, ramp_s, seed);
}

std::vector<double> arrivals_of(const Trace& trace, double scale, std::uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<double> all;
  spread_trace(trace, scale, 1, rng, [&](double at_s, std::uint64_t images) { all.insert(all.end(), images, at_s); });
  std::ranges::sort(all);
  return all;
}

}  // namespace imgrec::load
