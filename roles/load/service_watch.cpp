#include "roles/load/service_watch.hpp"

#include <simdjson.h>

#include <algorithm>

namespace imgrec::load {
namespace {

namespace dom = simdjson::dom;

constexpr Millis kEvery{1'000};
constexpr std::size_t kSamplesMax = 100'000;  // a day and more
// A decision is told in each status for a while; the same instant and reason is the same decision.
constexpr double kSameDecisionS = 0.5;

std::optional<double> number_of(const dom::element& object, std::string_view name) {
  double value = 0;
  return object[name].get(value) == simdjson::SUCCESS ? std::optional(value) : std::nullopt;
}

std::string text_of(const dom::element& object, std::string_view name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
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
  for (const ServiceSample& sample : samples) {
    if (const auto here = sample.machines()) most = std::max(most.value_or(0), *here);
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
  ServiceStatusRead read;
  read_sample(root, read.sample);
  dom::array decisions;
  if (root["decisions"].get(decisions) == simdjson::SUCCESS) {
    for (const dom::element item : decisions) {
      if (auto decision = read_decision(item, *now)) read.decisions.push_back(*std::move(decision));
    }
  }
  return read;
}

ServiceWatch::ServiceWatch(HttpClient& http, const Target& target, Secret api_key, Clock& clock)
    : http_(http),
      url_(target.origin() + "/v1/status"),
      api_key_(std::move(api_key)),
      clock_(clock),
      begin_(clock.mono_now()),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ServiceSeen ServiceWatch::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  if (!is_refused_) ask();
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

bool ServiceWatch::ask() {
  HttpClientRequest request;
  request.url = url_;
  request.timeout = Millis(5'000);
  request.connect_timeout = Millis(2'000);
  request.direct = true;
  if (!api_key_.empty()) request.headers.emplace_back("Authorization", "Bearer " + api_key_.reveal());
  const auto answer = http_.send(request, {});
  const double now_s = std::chrono::duration<double>(clock_.mono_now() - begin_).count();
  const auto trouble = [&](const std::string& why) {
    if (seen_.samples.empty()) seen_.problem = why;
  };
  if (!answer) {
    trouble(answer.error().message);
    return true;
  }
  if (answer->status != 200) {
    trouble(url_ + " answers " + std::to_string(answer->status) + ".");
    return answer->status >= 500 || answer->status == 429;
  }
  auto read = read_service_status(answer->body);
  if (!read) {
    trouble(read.error().message);
    return false;
  }
  seen_.problem.clear();
  read->sample.at_s = now_s;
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
