#include "roles/web/api/reply.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kJobsLoggedMax = 100;

std::string in_ms(double ms) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, ms, std::chars_format::fixed, 2);
  return {text, end};
}

}  // namespace

void add_server_timing(Response& response, const StageTimings& timings) {
  const std::pair<const char*, double> stages[] = {{"queue", timings.queue_ms},   {"fetch", timings.fetch_ms},
                                                   {"decode", timings.decode_ms}, {"preprocess", timings.preprocess_ms},
                                                   {"infer", timings.infer_ms},   {"store", timings.store_ms}};
  std::string text;
  for (const auto& [name, ms] : stages) text += (text.empty() ? "" : ", ") + std::string(name) + ";dur=" + in_ms(ms);
  response.headers.emplace_back("Server-Timing", std::move(text));
}

void count_request(Metrics& metrics, std::string_view route, const std::string& answer_class) {
  metrics
      .counter("imgrec_web_requests_total", "HTTP requests answered.",
               {{"route", std::string(route)}, {"class", answer_class}})
      .add();
}

std::string Reply::jobs_text() const {
  std::string text;
  for (std::size_t i = 0; i < std::min(jobs_.size(), kJobsLoggedMax); ++i) text += (i ? "," : "") + jobs_[i].str();
  if (jobs_.size() > kJobsLoggedMax) text += ",+" + std::to_string(jobs_.size() - kJobsLoggedMax);
  return text;
}

// Returns how long the request took, in milliseconds.
double Reply::count(const std::string& answer_class) {
  const double ms = std::max(0.0, elapsed_ms(context_.received_at, clock_->mono_now()));
  count_request(*metrics_, context_.route, answer_class);
  metrics_
      ->histogram("imgrec_web_request_duration_seconds", "From the request line to the answer.", latency_buckets_s(),
                  {{"route", context_.route}})
      .observe(ms / 1000);
  return ms;
}

void Reply::add_headers(HttpHeaders headers) {
  std::ranges::move(headers, std::back_inserter(headers_));
}

void Reply::send(Response response) {
  const int status = response.status;
  std::ranges::move(headers_, std::back_inserter(response.headers));
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  // Counted before it is sent: who has the answer finds it in the metrics.
  const double ms = count(std::to_string(status / 100) + "xx");
  response.headers.emplace_back("Server-Timing", "total;dur=" + in_ms(ms));
  log_sent(status, ms, responder_.send(std::move(response)));
}

ResponseStream Reply::open_stream(Response head, StreamCallbacks callbacks) {
  const int status = head.status;
  std::ranges::move(headers_, std::back_inserter(head.headers));
  log_sent(status, count(std::to_string(status / 100) + "xx"), true);
  return responder_.open_stream(std::move(head), std::move(callbacks));
}

void Reply::log_sent(int status, double ms, bool sent) const {
  const auto level = context_.quiet ? log::Level::debug : log::Level::info;
  if (!log::enabled(level)) return;
  if (jobs_.empty()) {
    log::write(level, "request",
               {{"request", context_.request},
                {"method", context_.method},
                {"path", context_.path},
                {"status", status},
                {"ms", ms},
                {"sent", sent}});
  } else {
    log::write(level, "request",
               {{"request", context_.request},
                {"method", context_.method},
                {"path", context_.path},
                {"status", status},
                {"ms", ms},
                {"sent", sent},
                {"job", jobs_text()}});
  }
}

void Reply::send_to_nobody() {
  const double ms = count("client_left");
  log::info("the client left before its answer",
            {{"request", context_.request}, {"path", context_.path}, {"ms", ms}, {"job", jobs_text()}});
}

}  // namespace imgrec
