#include "roles/controller/drainer.hpp"

#include <algorithm>
#include <unordered_set>

#include "lib/base/log.hpp"
#include "lib/job/other_version.hpp"
#include "lib/job/shutdown.hpp"

namespace imgrec {
namespace {

constexpr Millis kOpenAgain = std::chrono::minutes(1);  // a queue that is missing is looked for so often
constexpr Millis kLease{90'000};                        // longer than a worker holds a request
constexpr int kCallsMax = 20;                           // of one kind in one round
constexpr int kRequestsMax = kCallsMax * static_cast<int>(kBatchMax);

}  // namespace

Drainer::Drainer(QueueDirectory& queues, Clock& clock, Rng& rng, Metrics& metrics, DrainerOptions options)
    : queues_(queues),
      clock_(clock),
      rng_(rng),
      options_(std::move(options)),
      asked_(metrics.counter("imgrec_controller_drains_asked_total", "Requests to stop that were sent.")),
      taken_back_(
          metrics.counter("imgrec_controller_drains_taken_back_total", "Requests to stop that were withdrawn.")),
      confirmed_total_(
          metrics.counter("imgrec_controller_drains_confirmed_total", "Workers that confirmed a request.")),
      overdue_total_(metrics.counter("imgrec_controller_drains_overdue_total",
                                     "Requests that no worker took in time: instances were told to end instead.")),
      outage_("asking workers to stop", clock),
      clear_at_(clock.mono_now()),
      clear_again_at_(clear_at_ + kLease) {}

Drains Drainer::observe(const std::vector<Instance>& instances, const CallLimits& limits) {
  int overdue = 0;
  Result<void> outcome = open(limits);
  if (outcome && clock_.mono_now() < listen_until_) outcome = read_confirmations(limits);
  if (outcome) outcome = give_up_overdue(overdue, limits);
  if (outcome) {
    outage_.succeeded();
  } else if (outcome.error().kind != ErrorKind::cancelled) {
    outage_.failed(outcome.error());
  }
  std::unordered_set<std::string_view> there;
  for (const Instance& instance : instances) there.insert(instance.id.str());
  std::erase_if(confirmed_, [&](const InstanceId& id) { return !there.contains(id.str()); });
  return {.possible = outcome.has_value(),
          .requested = static_cast<int>(sent_at_.size()),
          .confirmed = confirmed_,
          .overdue = overdue};
}

Result<void> Drainer::open(const CallLimits& limits) {
  const MonoTime now = clock_.mono_now();
  if (!requests_ || !confirmations_) {
    if (open_again_at_ && now < *open_again_at_) {
      return fail(ErrorKind::not_found, "no_such_queue", "The queues for requests to stop are not there.");
    }
    open_again_at_ = now + kOpenAgain;
    auto requests = queues_.open(options_.requests, limits);
    if (!requests) return fail(requests.error());
    auto confirmations = queues_.open(options_.confirmations, limits);
    if (!confirmations) return fail(confirmations.error());
    requests_ = *std::move(requests);
    confirmations_ = *std::move(confirmations);
  }
  if (now < clear_at_) return {};
  const auto left = withdraw(kRequestsMax, limits);
  if (!left) return fail(left.error());
  clear_at_ = now < clear_again_at_ ? clear_again_at_ : MonoTime::max();
  // Workers may have taken some, which they confirm.
  listen_until_ = std::max(listen_until_, now + options_.timeout);
  return {};
}

void Drainer::clear_from(MonoTime now) {
  clear_at_ = std::min(clear_at_, now);
  clear_again_at_ = now + kLease;
}

Result<void> Drainer::read_confirmations(const CallLimits& limits) {
  for (int calls = 0; calls < kCallsMax; ++calls) {
    if (auto within = limits.check(clock_); !within) return within;
    const auto messages = confirmations_->receive({.messages_max = static_cast<int>(kBatchMax)}, limits.stop);
    if (!messages) return fail(messages.error());
    if (messages->empty()) return {};
    for (const Message& message : *messages) {
      if (auto confirmed = confirm(message, limits); !confirmed) return confirmed;
    }
  }
  return {};
}

// A second confirmation of the same request comes from a worker that waits for its end too.
Result<void> Drainer::confirm(const Message& message, const CallLimits& limits) {
  if (const auto confirmation = parse_shutdown_confirmation(message.body)) {
    sent_at_.erase(confirmation->request);
    if (std::ranges::find(confirmed_, confirmation->instance) == confirmed_.end()) {
      confirmed_.push_back(confirmation->instance);
      confirmed_total_.add();
      log::info("worker has stopped",
                {{"instance", confirmation->instance}, {"app_tier_id", confirmation->app_tier_id}});
    }
  } else if (is_other_version(confirmation.error())) {
    // It comes again when its lease ends, perhaps to a controller of that version.
    log::warning("a confirmation stays in the queue", {{"reason", describe(confirmation.error())}});
    return {};
  } else {
    log::warning("a message that is no confirmation is dropped", {{"error", describe(confirmation.error())}});
  }
  const auto removed = confirmations_->remove({{message.receipt}}, limits);
  if (!removed) return fail(removed.error());
  return {};
}

Result<void> Drainer::give_up_overdue(int& given_up, const CallLimits& limits) {
  const MonoTime now = clock_.mono_now();
  const auto is_overdue = [&](const auto& sent) { return now - sent.second >= options_.timeout; };
  const auto count = static_cast<int>(std::ranges::count_if(sent_at_, is_overdue));
  if (count == 0) return {};
  // All of them, since a queue does not say which it delivers; those that were sent lately are asked for again.
  if (const auto withdrawn = withdraw(kRequestsMax, limits); !withdrawn) return fail(withdrawn.error());
  // Workers hold what is left of the overdue ones. When one died meanwhile, its request will be there again.
  if (std::erase_if(sent_at_, is_overdue) > 0) clear_from(now + kLease);
  given_up = count;
  overdue_total_.add(count);
  log::warning("no worker took a request to stop in time; instances are told to end instead",
               {{"requests", count}, {"drain_timeout_ms", options_.timeout.count()}});
  return {};
}

Result<void> Drainer::ask(int count, const CallLimits& limits) {
  if (!requests_) return fail(ErrorKind::not_found, "no_such_queue", "The queue for requests to stop is not there.");
  while (count > 0) {
    std::vector<OutgoingMessage> batch;
    std::vector<std::string> ids;
    for (int i = 0; i < std::min(count, static_cast<int>(kBatchMax)); ++i) {
      const std::string id = random_hex(rng_, 16);
      // A group of its own: other requests can be taken while a worker holds this one.
      batch.push_back({.body = to_json(ShutdownRequest{.id = id, .requested_at = clock_.wall_now()}),
                       .group_id = id,
                       .dedup_id = id,
                       .delay = Millis(0)});
      ids.push_back(id);
    }
    const MonoTime now = clock_.mono_now();
    listen_until_ = now + 2 * options_.timeout;
    const auto sent = requests_->send(batch, limits);
    if (!sent) {
      clear_from(now);  // they may have been sent
      return fail(sent.error());
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (!(*sent)[i]) {
        clear_from(now);
        return fail((*sent)[i].error());
      }
      sent_at_[ids[i]] = now;
      asked_.add();
    }
    count -= static_cast<int>(ids.size());
  }
  return {};
}

Result<void> Drainer::take_back(int count, const CallLimits& limits) {
  if (!requests_) return {};
  const auto withdrawn = withdraw(count, limits);
  if (!withdrawn) return fail(withdrawn.error());
  taken_back_.add(*withdrawn);
  return {};
}

Result<int> Drainer::withdraw(int count, const CallLimits& limits) {
  int withdrawn = 0;
  while (withdrawn < count) {
    if (auto within = limits.check(clock_); !within) return fail(within.error());
    const int wanted = std::min(count - withdrawn, static_cast<int>(kBatchMax));
    const auto messages = requests_->receive({.messages_max = wanted}, limits.stop);
    if (!messages) {
      clear_from(clock_.mono_now() + kLease);  // what it may have received is hidden until then
      return fail(messages.error());
    }
    if (messages->empty()) break;
    std::vector<Receipt> receipts;
    for (const Message& message : *messages) receipts.push_back(message.receipt);
    const auto removed = requests_->remove(receipts, limits);
    if (!removed) {
      clear_from(clock_.mono_now() + kLease);
      return fail(removed.error());
    }
    for (std::size_t i = 0; i < messages->size(); ++i) {
      if (!(*removed)[i]) {
        clear_from(clock_.mono_now() + kLease);
        continue;
      }
      ++withdrawn;
      if (const auto request = parse_shutdown_request((*messages)[i].body)) sent_at_.erase(request->id);
    }
  }
  return withdrawn;
}

}  // namespace imgrec
