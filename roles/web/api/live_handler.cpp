#include "roles/web/api/live_handler.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

Response document(std::string body) {
  return {
      .content_type = "application/json", .headers = {{"Cache-Control", "no-store"}}, .body = std::move(body) + "\n"};
}

// Seconds since 1970, or RFC 3339.
Result<WallTime> parse_since(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr std::int64_t kSecondsMax = 100'000'000'000;  // in the year 5138
  if (error == std::errc() && end == text.data() + text.size() && seconds >= 0 && seconds <= kSecondsMax) {
    return WallTime(Seconds(seconds));
  }
  if (const auto at = parse_rfc3339(text)) return *at;
  return fail(ErrorKind::invalid, "bad_since",
              "since is a time, in whole seconds since 1970 or as 2026-11-22T08:15:30Z (RFC 3339, UTC).");
}

Result<SeriesAsked> parse_series(const Request& request) {
  SeriesAsked asked;
  const auto resolution = request.query_value("resolution").value_or("second");
  if (resolution != "second" && resolution != "minute") {
    return fail(ErrorKind::invalid, "bad_resolution", "resolution is second (the last hour) or minute (the last day).");
  }
  asked.resolution = resolution == "second" ? Resolution::second : Resolution::minute;
  if (const auto since = request.query_value("since")) {
    const auto at = parse_since(*since);
    if (!at) return fail(at.error());
    asked.since = *at;
  }
  const auto names = request.query_value("name");
  if (!names) {
    asked.columns = ServiceView::columns();
    return asked;
  }
  for (const std::string_view name : split(*names, ',')) {
    if (!ServiceView::has_column(name)) {
      std::string all;
      for (const std::string_view column : ServiceView::columns())
        all += (all.empty() ? "" : ", ") + std::string(column);
      return fail(ErrorKind::invalid, "unknown_series", "There is no such series; those there are: " + all + ".");
    }
    if (std::ranges::find(asked.columns, name) == asked.columns.end()) asked.columns.push_back(name);
  }
  return asked;
}

}  // namespace

void LiveHandler::handle(Exchange exchange) {
  switch (exchange.route.endpoint) {
    case Endpoint::v1_status: return exchange.send(document(live_.status()));
    case Endpoint::v1_fleet: return exchange.send(document(live_.fleet()));
    default: return timeseries(std::move(exchange));
  }
}

void LiveHandler::timeseries(Exchange exchange) {
  const auto asked = parse_series(exchange.request);
  if (!asked) return exchange.send_error(asked.error());
  exchange.send(document(live_.timeseries(*asked)));
}

void LiveHandler::stream(Exchange exchange) {
  EventReader reader{.session = exchange.owner(), .sees_service = exchange.caller.may(Access::read)};
  reader.last_event_id = std::string(exchange.request.header("last-event-id").value_or(""));
  const bool opened = live_.subscribe(std::move(reader), [&](StreamCallbacks callbacks) {
    return exchange.reply.open_stream({.content_type = "text/event-stream",
                                       // A proxy that gathers would hold events back.
                                       .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}},
                                       .body = {}},
                                      std::move(callbacks));
  });
  if (opened) return;
  exchange.send_error({ErrorKind::throttled, "too_many_readers",
                       "This node sends events to as many readers as it has places for. Ask again later, or ask for "
                       "/v1/status now and then."});
}

}  // namespace imgrec
