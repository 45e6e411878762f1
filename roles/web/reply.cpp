#include "roles/web/reply.hpp"

#include <algorithm>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kJobsLoggedMax = 100;

}  // namespace

std::string Reply::jobs_text() const {
  std::string text;
  for (std::size_t i = 0; i < std::min(jobs_.size(), kJobsLoggedMax); ++i) text += (i ? "," : "") + jobs_[i].str();
  if (jobs_.size() > kJobsLoggedMax) text += ",+" + std::to_string(jobs_.size() - kJobsLoggedMax);
  return text;
}

void Reply::send(Response response) {
  const int status = response.status;
  const double ms = std::max(0.0, elapsed_ms(context_.received_at, clock_->mono_now()));
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  // Counted before it is sent: who has the answer finds it in the metrics.
  metrics_
      ->counter("imgrec_web_requests_total", "HTTP requests answered.",
                {{"route", context_.route}, {"class", std::to_string(status / 100) + "xx"}})
      .add();
  metrics_
      ->histogram("imgrec_web_request_duration_seconds", "From the request line to the answer.", latency_buckets_s(),
                  {{"route", context_.route}})
      .observe(ms / 1000);
  const bool sent = responder_.send(std::move(response));
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

}  // namespace imgrec
