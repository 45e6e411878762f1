#include "lib/telemetry/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>
#include <sstream>

namespace imgrec {
namespace {

class PrometheusCounter final : public Metrics::Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusHistogram final : public Metrics::Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

struct ReadGauge {
  prometheus::Gauge* gauge;
  std::function<double()> read;
};

using Key = std::pair<std::string, std::map<std::string, std::string>>;

Key key_of(const std::string& name, const MetricLabels& labels) {
  return {name, {labels.begin(), labels.end()}};
}

// Gauges whose value is not known are left out: a reader must not take "unknown" for a number.
void remove_unknown(std::vector<prometheus::MetricFamily>& families) {
  for (auto& family : families) {
    if (family.type != prometheus::MetricType::Gauge) continue;
    std::erase_if(family.metric, [](const auto& metric) { return std::isnan(metric.gauge.value); });
  }
  std::erase_if(families, [](const auto& family) { return family.metric.empty(); });
}

}  // namespace

struct Metrics::Impl {
  std::mutex mutex;
  std::mutex scrape_mutex;  // the callbacks run one scrape at a time, and not under `mutex`
  prometheus::Registry registry;
  std::map<Key, std::unique_ptr<PrometheusCounter>> counters;
  std::map<Key, std::unique_ptr<PrometheusHistogram>> histograms;
  std::map<Key, ReadGauge> gauges;
  std::function<std::vector<std::string>()> read_others;  // under scrape_mutex

  // Under `mutex`. The key under which a new series of this kind is kept: its own, or, when the name has as many series
  // as it may have, one with "other" for every label value.
  template <class Series>
  static Key key_for(const std::map<Key, Series>& known, const std::string& name, const MetricLabels& labels) {
    Key key = key_of(name, labels);
    if (known.contains(key)) return key;
    const auto first = known.lower_bound({name, {}});
    const auto end = std::find_if(first, known.end(), [&](const auto& entry) { return entry.first.first != name; });
    if (std::distance(first, end) < kSeriesPerNameMax) return key;
    for (auto& [label, value] : key.second) value = "other";
    return key;
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Metrics::Counter& Metrics::counter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  std::lock_guard lock(impl_->mutex);
  const Key key = Impl::key_for(impl_->counters, name, labels);
  if (const auto known = impl_->counters.find(key); known != impl_->counters.end()) return *known->second;
  auto& added = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(key.second);
  return *impl_->counters.emplace(key, std::make_unique<PrometheusCounter>(added)).first->second;
}

Metrics::Histogram& Metrics::histogram(const std::string& name, const std::string& help,
                                       const std::vector<double>& buckets, const MetricLabels& labels) {
  std::lock_guard lock(impl_->mutex);
  const Key key = Impl::key_for(impl_->histograms, name, labels);
  if (const auto known = impl_->histograms.find(key); known != impl_->histograms.end()) return *known->second;
  auto& added = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry).Add(key.second, buckets);
  return *impl_->histograms.emplace(key, std::make_unique<PrometheusHistogram>(added)).first->second;
}

void Metrics::gauge(const std::string& name, const std::string& help, std::function<double()> read,
                    const MetricLabels& labels) {
  // Not while a scrape calls the one that is replaced: the caller may then destroy what it read from.
  std::scoped_lock lock(impl_->scrape_mutex, impl_->mutex);
  const Key key = Impl::key_for(impl_->gauges, name, labels);
  if (const auto known = impl_->gauges.find(key); known != impl_->gauges.end()) {
    known->second.read = std::move(read);
    return;
  }
  auto& added = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(key.second);
  impl_->gauges.emplace(key, ReadGauge{&added, std::move(read)});
}

void Metrics::show_others(std::function<std::vector<std::string>()> read) {
  std::lock_guard lock(impl_->scrape_mutex);
  impl_->read_others = std::move(read);
}

std::string Metrics::scrape() {
  std::lock_guard scraping(impl_->scrape_mutex);
  for (auto& [key, gauge] : impl_->gauges) gauge.gauge->Set(gauge.read());  // gauges change under scrape_mutex only
  auto families = impl_->registry.Collect();
  remove_unknown(families);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  if (!impl_->read_others) return std::move(text).str();
  std::vector<std::string> texts = impl_->read_others();
  texts.insert(texts.begin(), std::move(text).str());
  return merge_expositions(texts);
}

const std::vector<double>& latency_buckets_s() {
  static const std::vector<double> buckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                              1,     2.5,    5,     10,   30,    60,   120, 300,  900};
  return buckets;
}

}  // namespace imgrec
