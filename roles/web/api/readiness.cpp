#include "roles/web/api/readiness.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "lib/base/log.hpp"
#include "lib/job/worker_start.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kWaitingMax = 256;      // more are answered with what was known before
constexpr Millis kAnsweredLately{10'000};     // then some worker works
constexpr Millis kWorkerErrorValid{120'000};  // a start that failed longer ago tells nothing of the next
constexpr std::uint64_t kStatusBytesMax = 64 * kKiB;

Error not_ready(std::string what, const Error& error) {
  return {ErrorKind::transient, "not_ready", std::move(what) + " (" + describe(error) + ")."};
}

}  // namespace

Readiness::Readiness(Ports ports, const ReadinessOptions& options) : ports_(ports), options_(options) {
  thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

Readiness::~Readiness() {
  stop();
}

void Readiness::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  std::vector<Answer> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (Answer& answer : waiting) answer(Error{ErrorKind::transient, "not_ready", "The server is stopping."});
}

void Readiness::ask(Answer answer) {
  std::optional<Error> problem;
  {
    std::lock_guard lock(mutex_);
    const MonoTime now = ports_.clock.mono_now();
    const bool hangs = checking_since_ && now - *checking_since_ > options_.check_timeout;
    const bool fresh = known_ && now - checked_at_ <= options_.interval;
    if (draining_) {
      problem = Error{ErrorKind::transient, "not_ready", "The server is stopping."};
    } else if (hangs) {
      problem =
          Error{ErrorKind::transient, "not_ready",
                "The store or the queue has not answered a check for longer than it should take; is it reachable?"};
    } else if (fresh || waiting_.size() >= kWaitingMax) {
      problem = problem_ ? problem_ : worker_error_;
    } else {
      waiting_.push_back(std::move(answer));
      waker_.wake();
      return;
    }
  }
  answer(problem);
}

std::optional<Error> Readiness::worker_error() const {
  std::lock_guard lock(mutex_);
  return worker_error_;
}

void Readiness::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    bool asked = false;
    {
      std::lock_guard lock(mutex_);
      asked = !waiting_.empty();
      if (asked) checking_since_ = ports_.clock.mono_now();
    }
    if (asked || worker_error() || ports_.router.stalled()) check_workers();
    if (asked) {
      auto problem = check();
      std::vector<Answer> waiting;
      {
        std::lock_guard lock(mutex_);
        problem_ = std::move(problem);
        problem = problem_ ? problem_ : worker_error_;
        known_ = true;
        checked_at_ = ports_.clock.mono_now();
        checking_since_.reset();
        waiting.swap(waiting_);
      }
      for (Answer& answer : waiting) answer(problem);
    }
    waker_.sleep_until(ports_.clock, ports_.clock.mono_now() + options_.interval, stop);
  }
}

std::optional<Error> Readiness::check() {
  if (auto problem = check_images()) return problem;
  if (const auto outage = ports_.uploader.outage()) {
    return not_ready("No image can be taken in: the queue does not take its message", *outage);
  }
  if (const auto depth = ports_.requests.depth(limits()); !depth) {
    return not_ready("The request queue cannot be reached", depth.error());
  }
  if (const auto depth = ports_.responses.depth(limits()); !depth) {
    return not_ready("The response queue cannot be reached", depth.error());
  }
  return check_messages();
}

bool Readiness::worked_lately(std::optional<MonoTime> last) const {
  return last && ports_.clock.mono_now() - *last < options_.write_proof;
}

// Reading alone would not show a full disk, a file system that is read-only, or a missing right.
std::optional<Error> Readiness::check_images() {
  if (worked_lately(ports_.uploader.last_stored()) && !ports_.uploader.outage()) return std::nullopt;
  const auto stored = ports_.uploader.probe_store();
  if (stored) return std::nullopt;
  return not_ready("The image store takes no image; make room, or give this program the right to write there",
                   stored.error());
}

std::optional<Error> Readiness::check_messages() {
  if (worked_lately(ports_.uploader.last_sent()) || worked_lately(probed_)) return std::nullopt;
  // A queue of this node's own: workers never see the probe.
  std::array<OutgoingMessage, 1> probe;
  probe[0].body = kProbeMessage;
  if (options_.fifo) {
    probe[0].group_id = "probe";
    probe[0].dedup_id = make_job_id(ports_.clock.wall_now(), ports_.rng).str();
  }
  const auto sent = ports_.responses.send(probe, limits());
  if (sent && (*sent)[0]) {
    probed_ = ports_.clock.mono_now();
    return std::nullopt;
  }
  return not_ready("The queue takes no message; make room, or give this program the right to write there",
                   sent ? (*sent)[0].error() : sent.error());
}

// A worker that cannot start leaves the reason in the result store; the next one that can start removes it.
void Readiness::check_workers() {
  std::optional<Error> found;
  const auto document = ports_.outputs.get(worker_start_key(), kStatusBytesMax, limits());
  if (!document && document.error().kind != ErrorKind::not_found) return;
  if (document) {
    const auto failure = parse_worker_start(document->bytes);
    if (!failure) {
      log::warning("cannot read why no worker could start", {{"error", describe(failure.error())}});
    } else if (ports_.clock.wall_now() - failure->at < kWorkerErrorValid &&
               !ports_.router.answered_within(kAnsweredLately)) {
      found = Error{ErrorKind::transient, failure->code, "No worker can start: " + failure->detail};
    }
  }
  bool is_new = false;
  {
    std::lock_guard lock(mutex_);
    is_new = found && !worker_error_;
    worker_error_ = found;
  }
  if (is_new) log::error("no worker can start", {{"error", describe(*found)}});
  if (found && ports_.router.stalled()) ports_.router.refuse_waiting(*found);
}

}  // namespace imgrec
