#include "lib/job/leader_lease.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "lib/base/clock.hpp"
#include "lib/base/json_writer.hpp"

namespace imgrec {
namespace {

constexpr int kVersion = 1;
constexpr std::uint64_t kNumberMax = 1'000'000'000'000;

using Json = nlohmann::json;

std::optional<std::uint64_t> number(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<std::uint64_t>();
  return value <= kNumberMax ? std::optional(value) : std::nullopt;
}

std::string text(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<NotedLaunch> read_launch(const Json& object) {
  const auto count = number(object, "count"), total = number(object, "total");
  const std::string token = text(object, "token");
  if (!count || !total || *count > 100'000 || *total > 100'000 || token.empty()) return std::nullopt;
  return NotedLaunch{.token = LaunchToken(token),
                     .count = static_cast<int>(*count),
                     .total = static_cast<int>(*total),
                     .plan = text(object, "plan")};
}

}  // namespace

ObjectKey leader_lease_key() {
  return ObjectKey("status/leader");
}

std::string to_json(const LeaderLease& lease) {
  JsonWriter json;
  json.begin_object().member("v", kVersion).member("epoch", lease.epoch).member("holder", lease.holder);
  if (!lease.fleet.empty()) json.member("fleet", lease.fleet);
  json.member("renewals", lease.renewals).member("length_ms", lease.length.count()).member("released", lease.released);
  json.begin_list("launches");
  for (const NotedLaunch& launch : lease.launches) {
    json.begin_object().member("token", launch.token.str()).member("count", launch.count);
    json.member("total", launch.total).member("plan", launch.plan).end_object();
  }
  return json.end_list().member("at", to_rfc3339(lease.at)).end_object().finish();
}

Result<LeaderLease> parse_leader_lease(std::string_view json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto bad = [] {
    return fail(ErrorKind::invalid, "bad_leader_lease",
                "The object status/leader cannot be read: a newer version of imgrec may have written it. Where none "
                "leads, delete it.");
  };
  const auto version = number(document, "v"), epoch = number(document, "epoch"),
             renewals = number(document, "renewals");
  const auto length = number(document, "length_ms");
  const auto at = parse_rfc3339(text(document, "at"));
  if (!version || *version != kVersion || !epoch || !renewals || !length || text(document, "holder").empty() || !at) {
    return bad();
  }
  const auto released = document.find("released");
  const auto launches = document.find("launches");
  if (released == document.end() || !released->is_boolean() || launches == document.end() || !launches->is_array()) {
    return bad();
  }
  LeaderLease lease{.epoch = *epoch,
                    .holder = text(document, "holder"),
                    .fleet = text(document, "fleet"),
                    .renewals = *renewals,
                    .length = Millis(*length),
                    .released = released->get<bool>(),
                    .launches = {},
                    .at = *at};
  for (const Json& one : *launches) {
    const auto launch = read_launch(one);
    if (!launch) return bad();
    lease.launches.push_back(*launch);
  }
  return lease;
}

}  // namespace imgrec
