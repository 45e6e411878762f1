#include "roles/web/live/live_json.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "lib/base/json_writer.hpp"

namespace imgrec {
namespace {

double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

template <class T>
void member_or_null(JsonWriter& json, std::string_view name, const std::optional<T>& value) {
  if (value) {
    json.member(name, *value);
  } else {
    json.member_json(name, "null");
  }
}

void text_or_null(JsonWriter& json, std::string_view name, const std::string& text) {
  if (text.empty()) {
    json.member_json(name, "null");
  } else {
    json.member(name, text);
  }
}

void write_age(JsonWriter& json, const ServiceSeen& service) {
  if (service.status) {
    json.member("as_of", to_rfc3339(service.status->at)).member("age_s", rounded(to_s(service.age)));
  } else {
    json.member_json("as_of", "null").member_json("age_s", "null");
  }
  json.member("current", service.current);
  text_or_null(json, "problem", service.problem);
}

void write_queue(JsonWriter& json, const ServiceStatus& status) {
  if (!status.queue) {
    json.member_json("queue", "null");
    return;
  }
  json.begin_object("queue").member("visible", status.queue->visible).member("in_flight", status.queue->in_flight);
  json.member("delayed", status.queue->delayed);
  const auto age = status.queue->oldest_age;
  member_or_null(json, "oldest_age_s", age ? std::optional(rounded(to_s(*age))) : std::nullopt);
  json.end_object();
}

void write_counts(JsonWriter& json, const ServiceStatus& status) {
  if (!status.counts) {
    json.member_json("machines", "null");
    return;
  }
  json.begin_object("machines").member("booting", status.counts->booting).member("ready", status.counts->ready);
  json.member("busy", status.counts->busy).member("draining", status.counts->draining);
  member_or_null(json, "wanted", status.wanted);
  json.end_object();
}

void write_decision(JsonWriter& json, const DecisionStatus& decision) {
  json.member("at", to_rfc3339(decision.at));
  member_or_null(json, "wanted", decision.wanted);
  json.member("launch", decision.launch).member("take_back", decision.take_back);
  json.member("ask_to_stop", decision.ask_to_stop).member("terminate", decision.terminate).member("why", decision.why);
  text_or_null(json, "error", decision.error);
}

// Until the first of the machines that boot is ready, as far as it can be foreseen.
std::optional<double> ready_in_s(const ServiceStatus& status, WallTime now) {
  std::optional<double> least;
  for (const MachineStatus& machine : status.machines) {
    if (machine.state != MachineState::booting || !status.boot_s) continue;
    const double left = std::max(0.0, *status.boot_s - to_s(now - machine.launched_at));
    least = std::min(least.value_or(left), left);
  }
  return least ? std::optional(rounded(*least)) : std::nullopt;
}

// Of what is gone with time nothing is told; of what was decided and paid, the latest that is known.
void write_service(JsonWriter& json, const ServiceSeen& service, WallTime now) {
  static const ServiceStatus unknown{};
  const ServiceStatus& status = service.current ? *service.status : unknown;
  const ServiceStatus& latest = service.status ? *service.status : unknown;
  write_queue(json, status);
  write_counts(json, status);
  text_or_null(json, "why", status.why);
  text_or_null(json, "error", status.error);
  const auto arrivals = status.arrivals_per_s;
  member_or_null(json, "arrivals_per_s", arrivals ? std::optional(rounded(*arrivals)) : std::nullopt);
  member_or_null(json, "ready_in_s", ready_in_s(status, now));
  text_or_null(json, "policy", latest.policy);
  member_or_null(json, "boot_s", latest.boot_s ? std::optional(rounded(*latest.boot_s)) : std::nullopt);
  if (service.status) {
    json.begin_object("cost").member("since", to_rfc3339(latest.cost.since));
    json.member("machine_seconds", rounded(latest.cost.machine_seconds));
    json.member("dollars_per_hour", latest.cost.dollars_per_hour).member("dollars", latest.cost.dollars).end_object();
  } else {
    json.member_json("cost", "null");
  }
  json.begin_list("decisions");
  for (const DecisionStatus& decision : latest.decisions) {
    json.begin_object();
    write_decision(json, decision);
    json.end_object();
  }
  json.end_list();
}

// As long as the controller is away it does not change.
void write_boots(JsonWriter& json, const ServiceSeen& service) {
  if (!service.status) {
    json.member_json("boots", "null");
    return;
  }
  json.begin_list("boots");
  for (const BootStatus& boots : service.status->boots) {
    json.begin_object();
    text_or_null(json, "image", boots.image);
    json.member("machines", boots.times_s.size()).member("mean_s", rounded(boots.mean_s()));
    json.member("slowest_s", rounded(boots.slowest_s())).end_object();
  }
  json.end_list();
}

}  // namespace

std::string status_json(const ServiceSeen& service, const NodeStatus& node, WallTime now) {
  JsonWriter json(4 * kKiB);
  json.begin_object().member("now", to_rfc3339(now));
  write_age(json, service);
  write_service(json, service, now);
  json.begin_object("node").member("name", node.name).member("answered_per_s", rounded(node.seen.answered_per_s));
  member_or_null(json, "wait_p50_s", node.seen.wait_p50_s);
  member_or_null(json, "wait_p95_s", node.seen.wait_p95_s);
  json.member("pending_jobs", node.pending_jobs).end_object();
  return json.end_object().finish();
}

std::string fleet_json(const ServiceSeen& service, WallTime now) {
  JsonWriter json(16 * kKiB);
  json.begin_object().member("now", to_rfc3339(now));
  write_age(json, service);
  write_boots(json, service);
  if (!service.current || !service.status->counts) {
    return json.member_json("machines", "null").member_json("total", "null").end_object().finish();
  }
  const ServiceStatus::Counts& counts = *service.status->counts;
  json.member("total", counts.booting + counts.ready + counts.busy + counts.draining).begin_list("machines");
  for (const MachineStatus& machine : service.status->machines) {
    json.begin_object().member("id", machine.id).member("app_tier_id", machine.app_tier_id);
    text_or_null(json, "type", machine.type);
    json.member("state", to_text(machine.state)).member("launched_at", to_rfc3339(machine.launched_at));
    member_or_null(json, "images", machine.images);
    member_or_null(json, "busy_share", machine.busy_share ? std::optional(rounded(*machine.busy_share)) : std::nullopt);
    json.end_object();
  }
  return json.end_list().end_object().finish();
}

std::string timeseries_json(const ServiceView& view, const SeriesAsked& asked) {
  JsonWriter json(64 * kKiB);
  const bool by_second = asked.resolution == Resolution::second;
  json.begin_object().member("resolution", by_second ? "second" : "minute").begin_object("series");
  for (const std::string_view column : asked.columns) {
    json.begin_list(column);
    for (const SeriesPoint& point : view.read(column, asked.resolution, asked.since)) {
      json.begin_list().element(point.at.time_since_epoch() / Seconds(1));
      json.element(rounded(point.mean)).element(rounded(point.max)).end_list();
    }
    json.end_list();
  }
  return json.end_object().end_object().finish();
}

std::string samples_json(std::span<const ServiceSample> samples) {
  JsonWriter json(kKiB);
  json.begin_object().begin_list("columns").element("at");
  for (const auto column : kServiceColumns) json.element(column);
  json.end_list().begin_list("rows");
  for (const ServiceSample& sample : samples) {
    json.begin_list().element(sample.at.time_since_epoch() / Seconds(1));
    for (const double value : sample.values) json.element(rounded(value));
    json.end_list();
  }
  return json.end_list().end_object().finish();
}

std::string decision_json(const DecisionStatus& decision) {
  JsonWriter json;
  json.begin_object();
  write_decision(json, decision);
  return json.end_object().finish();
}

}  // namespace imgrec
