#include "roles/web/jobs/queue_view.hpp"

#include "lib/base/log.hpp"

namespace imgrec {

QueuePlace place_of(const QueueDepth& depth, std::uint64_t sent_after) {
  const std::uint64_t waiting = depth.visible + depth.delayed;
  if (sent_after >= waiting) return {.state = JobState::running, .place = {}, .queue_depth = waiting};
  return {.state = JobState::queued, .place = waiting - sent_after, .queue_depth = waiting};
}

std::optional<QueueView::Reading> QueueView::reading() {
  {
    std::lock_guard lock(mutex_);
    const MonoTime now = clock_.mono_now();
    // Whoever comes while another reads, or soon after a failure, gets the last one.
    if (tried_at_ != MonoTime::min() && now - tried_at_ < options_.valid) return last_;
    tried_at_ = now;
  }
  const WallTime wall = clock_.wall_now();
  const auto depth = requests_.depth({Deadline::in(clock_, options_.read_timeout), abort_});
  std::lock_guard lock(mutex_);
  if (depth) {
    last_ = Reading{.depth = *depth, .at = clock_.mono_now(), .wall = wall};
  } else {
    last_.reset();
    log::debug("cannot read how many images wait", {{"error", describe(depth.error())}});
  }
  return last_;
}

QueuePlace QueueView::place(const JobId& job, std::optional<std::uint64_t> sent_after) {
  const auto read = reading();
  if (!read) return {};
  const std::uint64_t waiting = read->depth.visible + read->depth.delayed;
  // A job that was sent after the reading is not in it.
  const bool counted = time_of(job) < read->wall;
  if (counted && sent_after) return place_of(read->depth, *sent_after);
  if (counted && waiting == 0) return {.state = JobState::running, .place = {}, .queue_depth = waiting};
  return {.state = JobState::queued, .place = {}, .queue_depth = waiting};
}

}  // namespace imgrec
