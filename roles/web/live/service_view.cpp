#include "roles/web/live/service_view.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace imgrec {
namespace {

// Beyond the longest silence of a controller that works: a put that takes long, and clocks that differ.
constexpr Millis kGrace{10'000};

std::vector<std::string> names(const auto& columns) {
  return {columns.begin(), columns.end()};
}

// `waits` is sorted and not empty. By the nearest rank.
double percentile(const std::vector<Millis>& waits, std::size_t percent) {
  return to_s(waits[(waits.size() * percent + 99) / 100 - 1]);
}

std::string problem_of(const ServiceStatus& status, Millis age) {
  if (status.ended) return "The controller has ended; its machines may go on running.";
  if (age > status.at_least + 2 * status.every + kGrace) return "The controller has told nothing for a while.";
  return {};
}

}  // namespace

ServiceView::ServiceView(ObjectStore& outputs, Clock& clock)
    : outputs_(outputs), clock_(clock), service_series_(names(kServiceColumns)), node_series_(names(kNodeColumns)) {}

std::vector<ServiceSample> ServiceView::refresh(Millis age_max, const CallLimits& limits) {
  std::lock_guard one_reader(reading_);
  {
    std::lock_guard lock(mutex_);
    if (read_at_ && clock_.mono_now() - *read_at_ < age_max) return {};
  }
  auto object = outputs_.get(service_status_key(), kServiceStatusBytesMax, limits);
  std::shared_ptr<const ServiceStatus> status;
  std::optional<Error> error;
  if (!object) {
    error = object.error();
  } else if (auto parsed = parse_service_status(object->bytes)) {
    status = std::make_shared<const ServiceStatus>(*std::move(parsed));
  } else {
    error = parsed.error();
  }
  std::lock_guard lock(mutex_);
  read_at_ = clock_.mono_now();
  error_ = std::move(error);
  if (!status) return {};
  status_ = status;
  std::vector<ServiceSample> fresh;
  // A controller whose clock was set back begins a new series.
  if (!status->samples.empty() && status->samples.back().at + Seconds(60) < sampled_until_) {
    sampled_until_ = WallTime::min();
  }
  for (const ServiceSample& sample : status->samples) {
    if (sample.at <= sampled_until_) continue;
    service_series_.record(sample.at, sample.values);
    sampled_until_ = sample.at;
    fresh.push_back(sample);
  }
  return fresh;
}

ServiceSeen ServiceView::seen() const {
  std::lock_guard lock(mutex_);
  ServiceSeen seen{.status = status_};
  if (!status_) {
    seen.problem = !error_ || error_->kind == ErrorKind::not_found
                       ? "No controller has told anything yet. Does one run, on the same platform?"
                       : "The service's status cannot be read at the moment; this node's log says why.";
    return seen;
  }
  seen.age = std::max(Millis(0), clock_.wall_now() - status_->at);
  seen.problem = problem_of(*status_, seen.age);
  seen.current = seen.problem.empty();
  return seen;
}

void ServiceView::answered(Millis wait) {
  std::lock_guard lock(mutex_);
  ++answered_;
  if (waits_.size() < kWaitsMax) waits_.push_back(std::max(wait, Millis(0)));
}

NodeSeen ServiceView::end_second() {
  std::vector<Millis> waits;
  NodeSeen node;
  {
    std::lock_guard lock(mutex_);
    const MonoTime now = clock_.mono_now();
    const double seconds =
        second_begun_ ? std::max(0.001, std::chrono::duration<double>(now - *second_begun_).count()) : 1;
    second_begun_ = now;
    waits = std::exchange(waits_, {});
    node.answered_per_s = static_cast<double>(std::exchange(answered_, 0)) / seconds;
  }
  std::ranges::sort(waits);
  if (!waits.empty()) {
    node.wait_p50_s = percentile(waits, 50);
    node.wait_p95_s = percentile(waits, 95);
  }
  node_series_.record(clock_.wall_now(), std::array{node.answered_per_s, node.wait_p50_s.value_or(kUnknown),
                                                    node.wait_p95_s.value_or(kUnknown)});
  std::lock_guard lock(mutex_);
  node_ = node;
  return node;
}

NodeSeen ServiceView::node() const {
  std::lock_guard lock(mutex_);
  return node_;
}

std::vector<std::string_view> ServiceView::columns() {
  std::vector<std::string_view> all(kServiceColumns.begin(), kServiceColumns.end());
  all.insert(all.end(), kNodeColumns.begin(), kNodeColumns.end());
  return all;
}

bool ServiceView::has_column(std::string_view column) {
  return std::ranges::find(kServiceColumns, column) != kServiceColumns.end() ||
         std::ranges::find(kNodeColumns, column) != kNodeColumns.end();
}

std::vector<SeriesPoint> ServiceView::read(std::string_view column, Resolution resolution, WallTime since) const {
  const bool of_node = std::ranges::find(kNodeColumns, column) != kNodeColumns.end();
  return (of_node ? node_series_ : service_series_).read(column, resolution, since);
}

}  // namespace imgrec
