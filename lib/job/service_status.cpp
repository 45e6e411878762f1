#include "lib/job/service_status.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "lib/base/clock.hpp"
#include "lib/base/json_writer.hpp"

namespace imgrec {
namespace {

using Json = nlohmann::json;

constexpr std::array kStates = {MachineState::booting, MachineState::ready, MachineState::busy, MachineState::draining};

void write_machine(JsonWriter& json, const MachineStatus& machine) {
  json.begin_object().member("id", machine.id).member("app_tier_id", machine.app_tier_id);
  if (!machine.type.empty()) json.member("type", machine.type);
  json.member("state", to_text(machine.state)).member("launched_at", to_rfc3339(machine.launched_at));
  if (machine.images) json.member("images", *machine.images);
  if (machine.busy_share) json.member("busy_share", *machine.busy_share);
  json.end_object();
}

void write_decision(JsonWriter& json, const DecisionStatus& decision) {
  json.begin_object().member("at", to_rfc3339(decision.at));
  if (decision.wanted) json.member("wanted", *decision.wanted);
  json.member("launch", decision.launch).member("take_back", decision.take_back);
  json.member("ask_to_stop", decision.ask_to_stop).member("terminate", decision.terminate);
  json.member("why", decision.why);
  if (!decision.error.empty()) json.member("error", decision.error);
  json.end_object();
}

void write_samples(JsonWriter& json, const std::vector<ServiceSample>& samples) {
  json.begin_object("samples").begin_list("columns").element("at_ms");
  for (const auto column : kServiceColumns) json.element(column);
  json.end_list().begin_list("rows");
  for (const ServiceSample& sample : samples) {
    json.begin_list().element(static_cast<std::int64_t>(sample.at.time_since_epoch().count()));
    // To the thousandth: what has more digits tells nothing more.
    for (const double value : sample.values) json.element(std::round(value * 1000) / 1000);
    json.end_list();
  }
  json.end_list().end_object();
}

// Members of a JSON object; what is missing or of another type is nothing.
class StatusMembers {
 public:
  explicit StatusMembers(const Json& json) : json_(json) {}

  const Json* find(const char* name) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string text(const char* name) const {
    const Json* found = find(name);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
  }
  std::optional<double> number(const char* name) const {
    const Json* found = find(name);
    return found != nullptr && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
  }
  /// Whole numbers from 0 on; others are nothing.
  std::optional<std::uint64_t> count(const char* name) const {
    const Json* found = find(name);
    return found != nullptr && found->is_number_unsigned() ? std::optional(found->get<std::uint64_t>()) : std::nullopt;
  }
  std::optional<int> small(const char* name) const {
    const auto value = count(name);
    return value && *value <= std::numeric_limits<int>::max() ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }
  std::optional<WallTime> time(const char* name) const {
    const auto at = parse_rfc3339(text(name));
    return at ? std::optional(*at) : std::nullopt;
  }
  /// The elements of a list, at most count_max of them.
  std::vector<Json> list(const char* name, std::size_t count_max) const {
    const Json* found = find(name);
    if (found == nullptr || !found->is_array()) return {};
    return {found->begin(), found->begin() + static_cast<std::ptrdiff_t>(std::min(count_max, found->size()))};
  }

 private:
  const Json& json_;
};

std::optional<MachineStatus> read_machine(const Json& json) {
  const StatusMembers members(json);
  const auto launched_at = members.time("launched_at");
  const auto state = std::ranges::find(kStates, members.text("state"), to_text);
  if (members.text("id").empty() || !launched_at || state == kStates.end()) return std::nullopt;
  return MachineStatus{.id = members.text("id"),
                       .app_tier_id = members.text("app_tier_id"),
                       .type = members.text("type"),
                       .state = *state,
                       .launched_at = *launched_at,
                       .images = members.count("images"),
                       .busy_share = members.number("busy_share")};
}

// Times that no machine takes, negative ones among them, are left out.
std::optional<BootStatus> read_boots(const Json& json) {
  constexpr double kTimeMax = 7 * 24 * 3600;
  const StatusMembers members(json);
  BootStatus boots{.image = members.text("image")};
  for (const Json& time : members.list("times_s", ServiceStatus::kBootTimesMax)) {
    const double value = time.is_number() ? time.get<double>() : -1;
    if (value >= 0 && value <= kTimeMax) boots.times_s.push_back(value);
  }
  return boots.times_s.empty() ? std::nullopt : std::optional(std::move(boots));
}

std::optional<DecisionStatus> read_decision(const Json& json) {
  const StatusMembers members(json);
  const auto at = members.time("at");
  if (!at) return std::nullopt;
  return DecisionStatus{.at = *at,
                        .wanted = members.small("wanted"),
                        .launch = members.small("launch").value_or(0),
                        .take_back = members.small("take_back").value_or(0),
                        .ask_to_stop = members.small("ask_to_stop").value_or(0),
                        .terminate = members.small("terminate").value_or(0),
                        .why = members.text("why"),
                        .error = members.text("error")};
}

// A newer writer may have other columns: they are found by name.
std::vector<ServiceSample> read_samples(const Json* json) {
  if (json == nullptr) return {};
  const StatusMembers members(*json);
  const auto columns = members.list("columns", 100);
  const auto place = [&](std::string_view name) {
    return static_cast<std::size_t>(std::ranges::find_if(columns, [&](const Json& column) { return column == name; }) -
                                    columns.begin());
  };
  const std::size_t at = place("at_ms");
  std::array<std::size_t, kServiceColumns.size()> places{};
  std::ranges::transform(kServiceColumns, places.begin(), place);
  std::vector<ServiceSample> samples;
  for (const Json& row : members.list("rows", ServiceStatus::kSamplesMax)) {
    if (!row.is_array() || at >= row.size() || !row[at].is_number_integer()) continue;
    ServiceSample& sample = samples.emplace_back();
    sample.at = WallTime(Millis(row[at].get<std::int64_t>()));
    for (std::size_t i = 0; i < places.size(); ++i) {
      const bool known = places[i] < row.size() && row[places[i]].is_number();
      sample.values[i] = known ? row[places[i]].get<double>() : std::numeric_limits<double>::quiet_NaN();
    }
  }
  std::ranges::stable_sort(samples, {}, &ServiceSample::at);
  return samples;
}

}  // namespace

std::string_view to_text(MachineState state) {
  switch (state) {
    case MachineState::booting: return "booting";
    case MachineState::ready: return "ready";
    case MachineState::busy: return "busy";
    case MachineState::draining: return "draining";
  }
  return "booting";
}

double BootStatus::mean_s() const {
  return std::accumulate(times_s.begin(), times_s.end(), 0.0) / static_cast<double>(times_s.size());
}

double BootStatus::slowest_s() const {
  return *std::ranges::max_element(times_s);
}

ObjectKey service_status_key() {
  return ObjectKey("status/service");
}

std::string to_json(const ServiceStatus& status) {
  JsonWriter json(32 * kKiB);
  json.begin_object().member("v", kServiceStatusVersion).member("at", to_rfc3339(status.at));
  json.member("every_ms", status.every.count()).member("at_least_ms", status.at_least.count());
  if (status.ended) json.member("ended", true);
  json.member("controller", status.controller).member("policy", status.policy);
  if (status.queue) {
    json.begin_object("queue").member("visible", status.queue->visible);
    json.member("in_flight", status.queue->in_flight).member("delayed", status.queue->delayed);
    if (status.queue->oldest_age) json.member("oldest_age_ms", status.queue->oldest_age->count());
    json.end_object();
  }
  if (status.counts) {
    json.begin_object("counts").member("booting", status.counts->booting).member("ready", status.counts->ready);
    json.member("busy", status.counts->busy).member("draining", status.counts->draining).end_object();
  }
  json.begin_list("machines");
  for (std::size_t i = 0; i < std::min(status.machines.size(), ServiceStatus::kMachinesMax); ++i) {
    write_machine(json, status.machines[i]);
  }
  json.end_list();
  if (status.wanted) json.member("wanted", *status.wanted);
  json.member("why", status.why);
  if (!status.error.empty()) json.member("error", status.error);
  if (status.arrivals_per_s) json.member("arrivals_per_s", *status.arrivals_per_s);
  if (status.boot_s) json.member("boot_s", *status.boot_s);
  if (!status.boots.empty()) {
    json.begin_list("boots");
    for (std::size_t i = 0; i < std::min(status.boots.size(), ServiceStatus::kBootsMax); ++i) {
      const BootStatus& boot = status.boots[i];
      json.begin_object().member("image", boot.image).begin_list("times_s");
      for (const double time :
           std::span(boot.times_s).first(std::min(boot.times_s.size(), ServiceStatus::kBootTimesMax)))
        json.element(time);
      json.end_list().end_object();
    }
    json.end_list();
  }
  json.begin_object("cost").member("since", to_rfc3339(status.cost.since));
  json.member("machine_seconds", status.cost.machine_seconds);
  json.member("dollars_per_hour", status.cost.dollars_per_hour).member("dollars", status.cost.dollars).end_object();
  json.begin_list("decisions");
  for (std::size_t i = 0; i < std::min(status.decisions.size(), ServiceStatus::kDecisionsMax); ++i) {
    write_decision(json, status.decisions[i]);
  }
  json.end_list();
  write_samples(json, status.samples);
  return json.end_object().finish();
}

Result<ServiceStatus> parse_service_status(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const StatusMembers members(json);
  const auto at = members.time("at");
  if (members.small("v") != kServiceStatusVersion || !at) {
    return fail(ErrorKind::invalid, "bad_service_status",
                "The object status/service cannot be read: it is of another version of imgrec, or damaged.");
  }
  ServiceStatus status{.at = *at, .controller = members.text("controller"), .policy = members.text("policy")};
  status.every = Millis(members.small("every_ms").value_or(static_cast<int>(status.every.count())));
  status.at_least = Millis(members.small("at_least_ms").value_or(static_cast<int>(status.at_least.count())));
  const Json* ended = members.find("ended");
  status.ended = ended != nullptr && *ended == true;
  if (const Json* found = members.find("queue")) {
    const StatusMembers queue(*found);
    status.queue = ServiceStatus::Queue{.visible = queue.count("visible").value_or(0),
                                        .in_flight = queue.count("in_flight").value_or(0),
                                        .delayed = queue.count("delayed").value_or(0)};
    if (const auto age = queue.small("oldest_age_ms")) status.queue->oldest_age = Millis(*age);
  }
  if (const Json* found = members.find("counts")) {
    const StatusMembers counts(*found);
    status.counts = ServiceStatus::Counts{.booting = counts.small("booting").value_or(0),
                                          .ready = counts.small("ready").value_or(0),
                                          .busy = counts.small("busy").value_or(0),
                                          .draining = counts.small("draining").value_or(0)};
  }
  for (const Json& machine : members.list("machines", ServiceStatus::kMachinesMax)) {
    if (auto read = read_machine(machine)) status.machines.push_back(*std::move(read));
  }
  status.wanted = members.small("wanted");
  status.why = members.text("why");
  status.error = members.text("error");
  status.arrivals_per_s = members.number("arrivals_per_s");
  status.boot_s = members.number("boot_s");
  for (const Json& boot : members.list("boots", ServiceStatus::kBootsMax)) {
    if (auto read = read_boots(boot)) status.boots.push_back(*std::move(read));
  }
  if (const Json* found = members.find("cost")) {
    const StatusMembers cost(*found);
    const double seconds = cost.number("machine_seconds").value_or(0),
                 price = cost.number("dollars_per_hour").value_or(0);
    status.cost = {.since = cost.time("since").value_or(*at),
                   .machine_seconds = seconds,
                   .dollars_per_hour = price,
                   .dollars = cost.number("dollars").value_or(seconds / 3600 * price)};  // earlier versions
  }
  for (const Json& decision : members.list("decisions", ServiceStatus::kDecisionsMax)) {
    if (auto read = read_decision(decision)) status.decisions.push_back(*std::move(read));
  }
  status.samples = read_samples(members.find("samples"));
  return status;
}

}  // namespace imgrec
