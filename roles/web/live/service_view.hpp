// What this web node knows of the service: the status that the controller publishes, read often while somebody watches
// and seldom else, and the time series that its samples make; and beside them how quickly this node answers.
//
// Threads  safe. refresh() blocks as the store does; nothing else does.
// Memory   bounded: the series (lib/telemetry/time_series.hpp), one status, and the waits of one second.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/job/service_status.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/time_series.hpp"

namespace imgrec {

/// The service, as it was told last.
struct ServiceSeen {
  std::shared_ptr<const ServiceStatus> status = {};  // null: nothing was ever read
  bool current = false;                              // else the controller is silent for too long, or has ended
  std::string problem = {};                          // why it is not current, in a sentence for people; empty: it is
  Millis age{0};                                     // of the status
};

/// How quickly this node answered in its latest second.
struct NodeSeen {
  double answered_per_s = 0;
  std::optional<double> wait_p50_s = {}, wait_p95_s = {};  // from upload to answer; nothing when none was answered
};

/// Columns of this node's own series; those of the service are kServiceColumns.
inline constexpr std::array<std::string_view, 3> kNodeColumns = {"answered_per_s", "wait_p50_s", "wait_p95_s"};

class ServiceView {
 public:
  ServiceView(ObjectStore& outputs, Clock& clock);

  /// Reads the status unless it was read less than `age_max` ago. Returns the samples that are new, oldest first.
  std::vector<ServiceSample> refresh(Millis age_max, const CallLimits& limits);

  ServiceSeen seen() const;

  /// An image of this node was answered after so long.
  void answered(Millis wait);
  /// Ends the second that began with the call before, and returns what was answered in it.
  NodeSeen end_second();
  /// The second that was ended last.
  NodeSeen node() const;

  /// Whether there is a series of that name.
  static bool has_column(std::string_view column);
  static std::vector<std::string_view> columns();
  std::vector<SeriesPoint> read(std::string_view column, Resolution resolution, WallTime since) const;

 private:
  static constexpr std::size_t kWaitsMax = 10'000;  // of one second; more are counted alone

  ObjectStore& outputs_;
  Clock& clock_;
  TimeSeries service_series_, node_series_;
  std::mutex reading_;  // one read at a time
  mutable std::mutex mutex_;
  std::shared_ptr<const ServiceStatus> status_;
  std::optional<Error> error_;
  std::optional<MonoTime> read_at_;
  WallTime sampled_until_ = WallTime::min();
  std::vector<Millis> waits_;
  std::uint64_t answered_ = 0;
  std::optional<MonoTime> second_begun_;
  NodeSeen node_;
};

}  // namespace imgrec
