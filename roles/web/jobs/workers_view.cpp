#include "roles/web/jobs/workers_view.hpp"

#include "lib/job/service_status.hpp"

namespace imgrec {
namespace {

constexpr Millis kValid{2'000};  // what was read less long ago is told as it is
constexpr Millis kReadTimeout{2'000};
constexpr int kMissedMax = 3;  // a controller that is silent for so many of its turns is no news

}  // namespace

std::optional<WorkersSeen> WorkersView::look() {
  {
    std::lock_guard lock(mutex_);
    const MonoTime now = clock_.mono_now();
    // Whoever comes while another reads gets the last one.
    if (tried_at_ && now - *tried_at_ < kValid) return last_;
    tried_at_ = now;
  }
  auto seen = read();
  std::lock_guard lock(mutex_);
  last_ = seen;
  return seen;
}

std::optional<WorkersSeen> WorkersView::read() {
  const auto document =
      outputs_.get(service_status_key(), kServiceStatusBytesMax, {Deadline::in(clock_, kReadTimeout), abort_});
  if (!document) return std::nullopt;
  const auto status = parse_service_status(document->bytes);
  if (!status || status->ended || !status->counts) return std::nullopt;
  if (clock_.wall_now() - status->at > kMissedMax * status->at_least) return std::nullopt;
  return WorkersSeen{.running = status->counts->ready + status->counts->busy,
                     .starting = status->counts->booting,
                     .boot_s = status->boot_s};
}

}  // namespace imgrec
