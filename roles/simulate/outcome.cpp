#include "roles/simulate/outcome.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lib/base/json_writer.hpp"

namespace imgrec::simulate {
namespace {

constexpr double kLeastS = 0.001;
const double kBucketLog = std::log(1.01);

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace

void WaitHistogram::add(double wait_s, std::uint64_t images) {
  const double place = wait_s <= kLeastS ? 0 : std::ceil(std::log(wait_s / kLeastS) / kBucketLog);
  counts_[static_cast<std::size_t>(std::min<double>(place, kBuckets - 1))] += images;
  images_ += images;
  max_s_ = std::max(max_s_, wait_s);
}

void WaitHistogram::add(const WaitHistogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  images_ += other.images_;
  max_s_ = std::max(max_s_, other.max_s_);
}

double WaitHistogram::quantile(double share) const {
  if (images_ == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(images_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= std::max<std::uint64_t>(wanted, 1)) {
      return std::min(max_s_, kLeastS * std::exp(kBucketLog * static_cast<double>(i)));
    }
  }
  return max_s_;
}

void Summary::add(const Outcome& one) {
  ++seeds;
  all.images += one.images;
  all.answered += one.answered;
  all.within_wanted_wait += one.within_wanted_wait;
  all.lost += one.lost;
  all.redelivered += one.redelivered;
  all.wait.add(one.wait);
  all.machine_seconds += one.machine_seconds;
  all.cost_usd += one.cost_usd;
  all.floor_usd += one.floor_usd;
  all.machines_max = std::max(all.machines_max, one.machines_max);
  all.launches += one.launches;
  all.over_max = std::max(all.over_max, one.over_max);
  all.orphans += one.orphans;
  all.direction_changes += one.direction_changes;
  all.looks += one.looks;
  all.duration_s += one.duration_s;
}

double Summary::within() const {
  return all.images == 0 ? 1 : static_cast<double>(all.within_wanted_wait) / static_cast<double>(all.images);
}

std::string to_json(const Summary& summary) {
  const Outcome& all = summary.all;
  const double seeds = std::max(1, summary.seeds);
  JsonWriter json;
  json.begin_object();
  json.member("policy", summary.policy).member("peer", summary.is_peer).member("scenario", summary.scenario);
  json.member("workers", summary.workers).member("seeds", summary.seeds);
  json.member("jobs", all.images).member("answered", all.answered);
  json.member("within_wanted_wait", summary.within());
  json.member("cost_usd", summary.cost_usd()).member("floor_usd", summary.floor_usd());
  json.begin_object("wait_s");
  json.member("p50", all.wait.quantile(0.5)).member("p95", all.wait.quantile(0.95));
  json.member("p99", all.wait.quantile(0.99)).member("max", all.wait.max());
  json.end_object();
  json.begin_object("machines");
  json.member("max", all.machines_max).member("seconds", all.machine_seconds / seeds);
  json.member("launches", all.launches / seeds).member("allowed", summary.machines_allowed);
  json.end_object();
  json.member("over_max", all.over_max).member("lost", all.lost).member("orphans", all.orphans);
  json.member("redelivered", all.redelivered);
  json.member("direction_changes_per_5_min", all.duration_s > 0 ? all.direction_changes * 300 / all.duration_s : 0.0);
  json.member("images_per_job", summary.images_per_job);
  json.end_object();
  return json.finish();
}

std::vector<std::vector<std::string>> to_table(const std::vector<Summary>& summaries) {
  std::vector<std::vector<std::string>> rows = {{"scenario", "workers", "policy", "dollars", "/ floor", "p50 s",
                                                 "p95 s", "max s", "in time", "machines", "launches", "remarks"}};
  for (const Summary& summary : summaries) {
    const Outcome& all = summary.all;
    std::string remarks;
    const auto remark = [&](std::uint64_t count, const char* what) {
      if (count > 0) remarks += (remarks.empty() ? "" : ", ") + std::to_string(count) + " " + what;
    };
    remark(all.images - all.answered - all.lost, "unanswered");
    remark(all.lost, "lost");
    remark(static_cast<std::uint64_t>(all.over_max), "over the maximum");
    remark(static_cast<std::uint64_t>(all.orphans), "orphans");
    rows.push_back({summary.scenario, summary.workers, summary.policy + (summary.is_peer ? " (peer)" : ""),
                    fixed(summary.cost_usd(), 4), fixed(summary.cost_usd() / summary.floor_usd(), 2),
                    fixed(all.wait.quantile(0.5), 1), fixed(all.wait.quantile(0.95), 1), fixed(all.wait.max(), 1),
                    fixed(100 * summary.within(), 1) + " %", std::to_string(all.machines_max),
                    fixed(static_cast<double>(all.launches) / std::max(1, summary.seeds), 1), remarks});
  }
  return rows;
}

}  // namespace imgrec::simulate
