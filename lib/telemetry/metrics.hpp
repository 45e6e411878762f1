// Prometheus metrics of one process. Names end in their unit (Prometheus' naming rules); label values are few and
// fixed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/telemetry/exposition.hpp"

namespace imgrec {

/// What scrape() gives.
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/// Thread-safe. Asking for the same name and labels again gives the same metric; the help text is the first one's.
/// Names and labels are constants of the code: std::invalid_argument for one that Prometheus does not allow, and for a
/// name that is of another type already. Memory is bounded: beyond kSeriesPerNameMax different label sets of one name,
/// all further ones share one series whose label values are "other".
class Metrics {
 public:
  static constexpr int kSeriesPerNameMax = 100;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  class Counter {
   public:
    virtual ~Counter() = default;
    virtual void add(double amount = 1) = 0;
  };
  class Histogram {
   public:
    virtual ~Histogram() = default;
    virtual void observe(double value) = 0;
  };

  Counter& counter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  /// buckets: upper bounds, ascending.
  Histogram& histogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                       const MetricLabels& labels = {});
  /// Read when the metrics are scraped; `read` is called from the scraping thread and must stay callable until it is
  /// replaced (by asking for the same gauge again) or the Metrics are gone. It must not call the Metrics. NaN: unknown,
  /// and left out of the text.
  void gauge(const std::string& name, const std::string& help, std::function<double()> read,
             const MetricLabels& labels = {});

  /// The texts of other processes that scrape() shows too, read at every scrape; `read` must not block, must not call
  /// the Metrics, and must stay callable until it is replaced (also by nothing) or the Metrics are gone.
  void show_others(std::function<std::vector<std::string>()> read);

  /// The text exposition format 0.0.4.
  std::string scrape();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// 1 ms to 15 minutes, for latencies in seconds.
const std::vector<double>& latency_buckets_s();

}  // namespace imgrec
