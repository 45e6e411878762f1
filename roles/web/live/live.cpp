#include "roles/web/live/live.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "lib/base/json_writer.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kTick{1'000};
constexpr Millis kReadsMin{500};        // between two reads, however often the controller publishes
constexpr std::size_t kJobsTold = 200;  // in a snapshot; GET /v1/jobs has all

}  // namespace

Live::Live(Ports ports, const Options& options)
    : ports_(std::move(ports)),
      options_(options),
      view_(ports_.outputs, ports_.clock),
      hub_(ports_.clock, ports_.rng, options.events),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

Live::~Live() {
  stop();
}

void Live::stop() {
  hub_.end_all();
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Millis Live::reads_every() const {
  const ServiceSeen seen = view_.seen();
  return std::max(kReadsMin, seen.status ? seen.status->every : Millis(1'000));
}

// The clock's thread: seconds of this node, heartbeats, and the status as often as somebody watches.
void Live::run(std::stop_token stop) {
  MonoTime second_ends = ports_.clock.mono_now() + kTick;
  while (!stop.stop_requested()) {
    if (const MonoTime now = ports_.clock.mono_now(); now >= second_ends) {
      second_ends = std::max(second_ends + kTick, now + kTick / 2);
      view_.end_second();
      hub_.tick();
    }
    bool watched = hub_.readers() > 0;
    {
      std::lock_guard lock(mutex_);
      watched = watched || (asked_at_ && ports_.clock.mono_now() - *asked_at_ < options_.watched_for);
    }
    // As in the pool: a store that throws costs one look, not the process.
    try {
      look(watched ? reads_every() - kReadsMin / 2 : options_.seldom);
    } catch (const std::exception& e) {
      log::error("an exception ended a look at the service's status", {{"what", e.what()}});
    }
    waker_.sleep_until(ports_.clock, second_ends, stop);
  }
}

void Live::look(Millis age_max) {
  const auto samples = view_.refresh(age_max, {Deadline::in(ports_.clock, options_.call_timeout), ports_.abort});
  std::lock_guard one_teller(telling_);
  tell_news(samples);
}

// With telling_ held.
void Live::tell_news(std::span<const ServiceSample> samples) {
  const ServiceSeen seen = view_.seen();
  if (!seen.status) return;
  const bool is_new = told_at_ != seen.status->at || told_current_ != seen.current;
  if (!is_new) return;
  for (auto decision = seen.status->decisions.rbegin(); decision != seen.status->decisions.rend(); ++decision) {
    if (decided_until_ && decision->at <= *decided_until_) continue;
    // Those before the first look are in every snapshot.
    if (told_at_) hub_.publish(std::nullopt, "decision", decision_json(*decision));
    decided_until_ = decision->at;
  }
  const WallTime now = ports_.clock.wall_now();
  JsonWriter json(4 * kKiB);
  json.begin_object().member_json("status", status_json(seen, node(), now));
  json.member_json("samples", samples_json(samples)).end_object();
  hub_.publish(std::nullopt, "status", json.finish());
  JsonWriter machines;
  machines.begin_list();
  for (const MachineStatus& machine : seen.status->machines) {
    machines.element(machine.id).element(to_text(machine.state)).element(machine.images.value_or(0));
  }
  if (std::string fleet = machines.end_list().finish(); fleet != told_fleet_ || told_current_ != seen.current) {
    told_fleet_ = std::move(fleet);
    hub_.publish(std::nullopt, "fleet", fleet_json(seen, now));
  }
  told_at_ = seen.status->at;
  told_current_ = seen.current;
}

NodeStatus Live::node() const {
  return {.name = options_.node, .seen = view_.node(), .pending_jobs = ports_.pending_jobs()};
}

std::string Live::status() {
  {
    std::lock_guard lock(mutex_);
    asked_at_ = ports_.clock.mono_now();
  }
  look(reads_every());
  return status_json(view_.seen(), node(), ports_.clock.wall_now());
}

std::string Live::fleet() {
  {
    std::lock_guard lock(mutex_);
    asked_at_ = ports_.clock.mono_now();
  }
  look(reads_every());
  return fleet_json(view_.seen(), ports_.clock.wall_now());
}

std::string Live::timeseries(const SeriesAsked& asked) {
  {
    std::lock_guard lock(mutex_);
    asked_at_ = ports_.clock.mono_now();
  }
  look(reads_every());
  return timeseries_json(view_, asked);
}

std::string Live::snapshot(const EventReader& reader) const {
  JsonWriter json(4 * kKiB);
  json.begin_object();
  if (reader.sees_service) {
    const WallTime now = ports_.clock.wall_now();
    json.member_json("status", status_json(view_.seen(), node(), now));
    json.member_json("fleet", fleet_json(view_.seen(), now));
  }
  json.begin_list("jobs");
  if (reader.session) {
    std::lock_guard lock(mutex_);
    std::size_t told = 0;
    for (auto id = job_order_.rbegin(); id != job_order_.rend() && told < kJobsTold; ++id) {
      const auto job = jobs_.find(*id);
      if (job == jobs_.end() || job->second.session != *reader.session) continue;
      ++told;
      json.begin_object()
          .member("job", id->str())
          .member("name", job->second.name)
          .member("state", "queued")
          .end_object();
    }
  }
  return json.end_list().end_object().finish();
}

bool Live::subscribe(EventReader reader, const EventHub::OpenStream& open) {
  const EventReader who = reader;
  const bool opened = hub_.subscribe(std::move(reader), open, [&] { return snapshot(who); });
  waker_.wake();  // somebody watches from now on
  return opened;
}

void Live::tell_job(const Job& job, const JobId& id, std::string_view state, std::string_view label) {
  JsonWriter json;
  json.begin_object().member("job", id.str()).member("name", job.name).member("state", state);
  if (!label.empty()) json.member("label", label);
  hub_.publish(job.session, "job", json.end_object().finish());
}

void Live::job_queued(const JobRequest& request) {
  const Job job{.session = request.session, .name = request.name};
  {
    std::lock_guard lock(mutex_);
    if (!jobs_.try_emplace(request.job, job).second) return;
    job_order_.push_back(request.job);
    while (job_order_.size() > options_.jobs_max) {
      jobs_.erase(job_order_.front());
      job_order_.pop_front();
    }
  }
  tell_job(job, request.job, "queued", {});
}

std::optional<Live::Job> Live::take(const JobId& job) {
  std::lock_guard lock(mutex_);
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return std::nullopt;
  Job taken = std::move(found->second);
  jobs_.erase(found);
  // Most are over in their order: what is over leaves the front.
  while (!job_order_.empty() && !jobs_.contains(job_order_.front())) job_order_.pop_front();
  return taken;
}

void Live::job_ended(const JobResult& result) {
  const auto job = take(result.job);
  if (!job) return;  // told before, or another life's
  if (result.error && result.error->code == kCancelledCode) return tell_job(*job, result.job, "cancelled", {});
  view_.answered(ports_.clock.wall_now() - time_of(result.job));
  if (result.error) return tell_job(*job, result.job, "failed", result.error->title);
  tell_job(*job, result.job, "done", result.labels.empty() ? std::string_view() : result.labels.front().label);
}

void Live::job_left(const JobId& id, std::string_view state) {
  if (const auto job = take(id)) tell_job(*job, id, state, {});
}

}  // namespace imgrec
