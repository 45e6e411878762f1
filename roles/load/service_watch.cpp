#include "roles/load/service_watch.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <map>

#include "roles/load/json_private.hpp"

namespace imgrec::load {
namespace {

namespace dom = simdjson::dom;

constexpr Millis kEvery{1'000};
constexpr std::size_t kSamplesMax = 100'000;  // a day and more
// A decision is told in each status for a while; the same instant and reason is the same decision.
constexpr double kSameDecisionS = 0.5;
// The service keeps an hour by the second, a day by the minute.
constexpr double kBySecondS = 3'500;

constexpr std::array<std::pair<std::string_view, std::optional<double> ServiceSample::*>, 7> kSeries = {{
    {"visible", &ServiceSample::visible},
    {"in_flight", &ServiceSample::in_flight},
    {"booting", &ServiceSample::booting},
    {"ready", &ServiceSample::ready},
    {"busy", &ServiceSample::busy},
    {"draining", &ServiceSample::draining},
    {"machine_seconds", &ServiceSample::machine_seconds},
}};

std::optional<double> number_of(const dom::element& object, std::string_view name) {
  double value = 0;
  return object[name].get(value) == simdjson::SUCCESS ? std::optional(value) : std::nullopt;
}

int count_of(const dom::element& object, std::string_view name) {
  return static_cast<int>(number_of(object, name).value_or(0));
}

void read_sample(const dom::element& root, ServiceSample& sample) {
  dom::element part;
  if (root["queue"].get(part) == simdjson::SUCCESS && part.is_object()) {
    sample.visible = number_of(part, "visible");
    sample.in_flight = number_of(part, "in_flight");
  }
  if (root["machines"].get(part) == simdjson::SUCCESS && part.is_object()) {
    sample.booting = number_of(part, "booting");
    sample.ready = number_of(part, "ready");
    sample.busy = number_of(part, "busy");
    sample.draining = number_of(part, "draining");
  }
  if (root["cost"].get(part) == simdjson::SUCCESS && part.is_object()) {
    sample.machine_seconds = number_of(part, "machine_seconds");
    sample.dollars = number_of(part, "dollars");
  }
}

std::optional<ServiceDecision> read_decision(const dom::element& item, WallTime now) {
  const auto at = parse_rfc3339(text_of(item, "at"));
  if (!at) return std::nullopt;
  return ServiceDecision{
      .at_s = static_cast<double>((*at - now).count()) / 1000,
      .wanted = number_of(item, "wanted"),
      .launch = count_of(item, "launch"),
      .end = count_of(item, "take_back") + count_of(item, "ask_to_stop") + count_of(item, "terminate"),
      .why = text_of(item, "why")};
}

std::optional<double> difference(const std::vector<ServiceSample>& samples,
                                 std::optional<double> ServiceSample::* value) {
  std::optional<double> first, last;
  for (const ServiceSample& sample : samples) {
    if (!(sample.*value)) continue;
    if (!first) first = sample.*value;
    last = sample.*value;
  }
  if (!first) return std::nullopt;
  return std::max(0.0, *last - *first);
}

}  // namespace

std::optional<double> ServiceSample::machines() const {
  if (!booting || !ready || !busy || !draining) return std::nullopt;
  return *booting + *ready + *busy + *draining;
}

std::optional<double> ServiceSeen::machines_max() const {
  std::optional<double> most;
  for (const auto* list : {&samples, &series}) {
    for (const ServiceSample& sample : *list) {
      if (const auto here = sample.machines()) most = std::max(most.value_or(0), *here);
    }
  }
  return most;
}

std::optional<double> ServiceSeen::machine_seconds() const {
  return difference(samples, &ServiceSample::machine_seconds);
}

std::optional<double> ServiceSeen::dollars() const {
  return difference(samples, &ServiceSample::dollars);
}

Result<ServiceStatusRead> read_service_status(const std::string& json) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(json).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return fail(ErrorKind::invalid, "bad_status", "The status of the service is no JSON object.");
  }
  const auto now = parse_rfc3339(text_of(root, "now"));
  if (!now) return fail(ErrorKind::invalid, "bad_status", "The status of the service has no time.");
  ServiceStatusRead read{.now = *now, .dollars_per_hour = {}, .sample = {}, .decisions = {}};
  read_sample(root, read.sample);
  dom::element cost;
  if (root["cost"].get(cost) == simdjson::SUCCESS && cost.is_object()) {
    read.dollars_per_hour = number_of(cost, "dollars_per_hour");
  }
  dom::array decisions;
  if (root["decisions"].get(decisions) == simdjson::SUCCESS) {
    for (const dom::element item : decisions) {
      if (auto decision = read_decision(item, *now)) read.decisions.push_back(*std::move(decision));
    }
  }
  return read;
}

Result<std::vector<ServiceSample>> read_service_series(const std::string& json, WallTime begin,
                                                       std::optional<double> dollars_per_hour) {
  dom::parser parser;
  dom::element series;
  if (parser.parse(json)["series"].get(series) != simdjson::SUCCESS || !series.is_object()) {
    return fail(ErrorKind::invalid, "bad_series", "The time series of the service are no JSON object.");
  }
  const double begin_s = static_cast<double>(begin.time_since_epoch().count()) / 1000;
  std::map<double, ServiceSample> by_time;
  for (const auto& [name, value] : kSeries) {
    dom::array points;
    if (series[name].get(points) != simdjson::SUCCESS) continue;
    for (const dom::element point : points) {
      double at = 0, mean = 0;
      if (point.at(0).get(at) != simdjson::SUCCESS || point.at(1).get(mean) != simdjson::SUCCESS) continue;
      const double at_s = at - begin_s;
      if (at_s <= -1) continue;
      ServiceSample& sample = by_time[at];
      sample.at_s = std::max(0.0, at_s);
      sample.*value = mean;
      if (value == &ServiceSample::machine_seconds && dollars_per_hour)
        sample.dollars = mean * *dollars_per_hour / 3600;
    }
  }
  std::vector<ServiceSample> samples;
  for (const auto& [at, sample] : by_time) samples.push_back(sample);
  return samples;
}

ServiceWatch::ServiceWatch(HttpClient& http, const Target& target, Secret api_key, Clock& clock)
    : http_(http),
      origin_(target.origin()),
      api_key_(std::move(api_key)),
      clock_(clock),
      begin_(clock.mono_now()),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ServiceSeen ServiceWatch::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  if (!is_refused_) ask();
  if (begin_there_) ask_for_series();
  std::ranges::stable_sort(seen_.decisions, {}, &ServiceDecision::at_s);
  return std::move(seen_);
}

void ServiceWatch::run(const std::stop_token& stop) {
  for (MonoTime next = begin_; !stop.stop_requested(); next += kEvery) {
    if (!ask()) {
      is_refused_ = true;
      return;
    }
    next = std::max(next, clock_.mono_now() - kEvery);
    clock_.sleep_until(next + kEvery, stop);
  }
}

Result<HttpClientResponse> ServiceWatch::get(const std::string& path) {
  HttpClientRequest request;
  request.url = origin_ + path;
  request.timeout = Millis(5'000);
  request.connect_timeout = Millis(2'000);
  request.direct = true;
  if (!api_key_.empty()) request.headers.emplace_back("Authorization", "Bearer " + api_key_.reveal());
  return http_.send(request, {});
}

void ServiceWatch::ask_for_series() {
  const bool by_second = std::chrono::duration<double>(clock_.mono_now() - begin_).count() < kBySecondS;
  std::string path = "/v1/timeseries?resolution=";
  path += by_second ? "second" : "minute";
  path += "&since=";
  path += std::to_string(begin_there_->time_since_epoch() / Seconds(1));
  path += "&name=";
  for (const auto& [name, value] : kSeries) {
    if (!path.ends_with('=')) path += ',';
    path += name;
  }
  const auto answer = get(path);
  if (!answer || answer->status != 200) return;  // the samples are drawn then
  if (auto series = read_service_series(answer->body, *begin_there_, dollars_per_hour_))
    seen_.series = *std::move(series);
}

bool ServiceWatch::ask() {
  const auto answer = get("/v1/status");
  const double now_s = std::chrono::duration<double>(clock_.mono_now() - begin_).count();
  const auto trouble = [&](const std::string& why) {
    if (seen_.samples.empty()) seen_.problem = why;
  };
  if (!answer) {
    trouble(answer.error().message);
    return true;
  }
  if (answer->status != 200) {
    trouble(origin_ + "/v1/status answers " + std::to_string(answer->status) + ".");
    return answer->status >= 500 || answer->status == 429;
  }
  auto read = read_service_status(answer->body);
  if (!read) {
    trouble(read.error().message);
    return false;
  }
  seen_.problem.clear();
  read->sample.at_s = now_s;
  dollars_per_hour_ = read->dollars_per_hour;
  if (!begin_there_)
    begin_there_ = read->now - std::chrono::duration_cast<Millis>(std::chrono::duration<double>(now_s));
  if (seen_.samples.size() < kSamplesMax) seen_.samples.push_back(read->sample);
  for (ServiceDecision& decision : read->decisions) {
    decision.at_s += now_s;
    const bool is_known = std::ranges::any_of(seen_.decisions, [&](const ServiceDecision& one) {
      return one.why == decision.why && std::abs(one.at_s - decision.at_s) < kSameDecisionS;
    });
    if (decision.at_s >= 0 && !is_known && decision.launch + decision.end > 0) seen_.decisions.push_back(decision);
  }
  return true;
}

}  // namespace imgrec::load
