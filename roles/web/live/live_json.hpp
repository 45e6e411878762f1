// The documents of GET /v1/status, /v1/fleet and /v1/timeseries, and of the events that tell of the same.
// What is not known, or not any more, is null.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "roles/web/live/service_view.hpp"

namespace imgrec {

struct NodeStatus {
  std::string name;  // of this web node
  NodeSeen seen;
  std::size_t pending_jobs = 0;
};

std::string status_json(const ServiceSeen& service, const NodeStatus& node, WallTime now);
std::string fleet_json(const ServiceSeen& service, WallTime now);

struct SeriesAsked {
  std::vector<std::string_view> columns;
  Resolution resolution = Resolution::second;
  WallTime since{};
};
/// Each point: [seconds since 1970, mean, greatest].
std::string timeseries_json(const ServiceView& view, const SeriesAsked& asked);

/// {"columns":["at",…],"rows":[[…],…]}: what is new in the series of the service.
std::string samples_json(std::span<const ServiceSample> samples);
std::string decision_json(const DecisionStatus& decision);

}  // namespace imgrec
