#include "aws/adapters/ec2_fleet.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <set>

#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_launch.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

constexpr std::size_t kLaunchesKept = 100;
constexpr std::size_t kTagBytesMax = 256;
constexpr Millis kLookAgain{2'000};  // for what EC2 does not show yet
constexpr int kLooksMax = 15;
constexpr Millis kYoung = std::chrono::minutes(10);  // an end sooner than that is told with its reason
constexpr int kPauseDoublingsMax = 10;

// Another pool may do: its zone or type has no room, or not that type, or its part of the quota is used up.
bool is_pool_error(std::string_view aws_code) {
  constexpr std::array<std::string_view, 6> kCodes = {"SpotMaxPriceTooLow",    "MaxSpotInstanceCountExceeded",
                                                      "VcpuLimitExceeded",     "InstanceLimitExceeded",
                                                      "UnfulfillableCapacity", "Unsupported"};
  return aws_code.starts_with("Insufficient") || std::ranges::find(kCodes, aws_code) != kCodes.end();
}

bool is_gone(const std::string& state) {
  return state == "terminated";
}

InstanceState state_of(const std::string& state) {
  if (state == "pending") return InstanceState::pending;
  if (state == "running") return InstanceState::running;
  return InstanceState::stopping;
}

std::string tag(const Ec2Instance& instance, std::string_view key) {
  const auto found = instance.tags.find(std::string(key));
  return found == instance.tags.end() ? "" : found->second;
}

// "The instance IDs 'i-a, i-b' do not exist": those among ids that the text names.
std::vector<InstanceId> named_in(const std::string& text, const std::vector<InstanceId>& ids) {
  std::vector<InstanceId> out;
  for (const InstanceId& id : ids) {
    const std::size_t at = text.find(id.str());
    if (at == std::string::npos) continue;
    const std::size_t end = at + id.str().size();
    if (end == text.size() || std::isalnum(static_cast<unsigned char>(text[end])) == 0) out.push_back(id);
  }
  return out;
}

class Ec2Fleet final : public Fleet {
 public:
  Ec2Fleet(Session& session, Ec2FleetOptions options)
      : session_(session), options_(std::move(options)), api_(session, options_.call_deadline) {
    for (Ec2Pool& pool : pools_of(options_)) pools_.push_back({std::move(pool)});
  }

  Millis shown_within() const override { return options_.appear_max; }

  Result<std::vector<Instance>> describe(const CallLimits& limits) override {
    auto listed = list(limits);
    if (!listed) return fail(listed.error());
    std::vector<Instance> out;
    for (Known& one : *listed) out.push_back(std::move(one.instance));
    return out;
  }

  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits) override;
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) override;

 private:
  struct Known {
    Instance instance;
    int number = 0;  // of its app tier; 0: unknown
    std::string launch;
    std::string launched_at;  // RFC 3339 with milliseconds; sorts as text
  };
  struct Pool {
    Ec2Pool what;
    int failures = 0;
    MonoTime not_before = MonoTime::min();
  };
  struct Launched {
    LaunchToken token;
    std::vector<Instance> instances;
  };
  struct Unanswered {
    Ec2Launch launch;
    std::size_t pool = 0;
  };

  Known known(const Ec2Instance& instance) const;
  Result<std::vector<Known>> list(const CallLimits& limits);
  void merge(const std::vector<Ec2Instance>& seen, std::vector<Known>& out);
  void say_if_ended_at_once(const Ec2Instance& instance);
  std::optional<std::vector<Instance>> launched_before(const LaunchToken& token, const std::vector<Known>& now) const;
  Result<Ec2Launch> plan(const LaunchRequest& request, const std::vector<Known>& now) const;
  using Note = std::function<Result<void>(const std::string& plan)>;
  Result<std::vector<Instance>> run_in_turn(Ec2Launch launch, const Note& note, const CallLimits& limits);
  void keep_unanswered(const Ec2Launch& launch, std::size_t pool);
  Result<std::vector<Instance>> started(const Ec2Launch& launch, const std::vector<Ec2Instance>& instances);
  Result<std::vector<Instance>> find_launched(const Ec2Launch& launch, const Error& error, const CallLimits& limits);
  void stop_showing_tags(Ec2Launch& launch, const Error& error);
  void pause(Pool& pool, const CallFailure& failure);
  Result<void> terminate_once(std::vector<InstanceId>& left, const CallLimits& limits);
  bool is_recent(const InstanceId& id);

  Session& session_;
  const Ec2FleetOptions options_;
  Ec2Api api_;
  std::mutex launching_;  // one launch at a time: two would count the same room
  std::vector<Pool> pools_;
  std::map<LaunchToken, Unanswered> unanswered_;  // answers that were lost
  std::map<LaunchToken, int> refusals_;
  bool tags_in_metadata_ = true;  // until EC2 refuses
  std::mutex mutex_;
  std::deque<Launched> launches_;                // the latest
  std::vector<std::pair<Known, MonoTime>> new_;  // launched by us, and not shown yet
  std::map<InstanceId, MonoTime> young_;         // launched by us lately: when
  std::map<InstanceId, MonoTime> ended_;         // told to end by us, and perhaps shown as running still
};

Ec2Fleet::Known Ec2Fleet::known(const Ec2Instance& instance) const {
  Known out;
  out.number = app_tier_number(tag(instance, kAppTiersTag), instance.launch_index).value_or(0);
  out.launch = tag(instance, kLaunchTag);
  out.launched_at = tag(instance, kLaunchedAtTag);
  out.instance = {.id = instance.id,
                  .state = state_of(instance.state),
                  .app_tier_id = out.number > 0 ? "app-tier-" + std::to_string(out.number) : "",
                  .type = instance.type,
                  .launched_at = instance.launched_at,
                  .image = instance.image};
  return out;
}

Result<std::vector<Ec2Fleet::Known>> Ec2Fleet::list(const CallLimits& limits) {
  std::vector<Ec2Filter> wanted = fleet_filters(options_.name);
  {
    // An instance that ended within seconds (no room for its volume) must not count as one that is yet to be shown.
    std::lock_guard lock(mutex_);
    if (!new_.empty() || !young_.empty()) wanted.back().second.push_back("terminated");
  }
  const auto seen = api_.describe(wanted, limits);
  if (!seen) return fail(seen.error());
  std::vector<Known> out;
  merge(*seen, out);
  std::ranges::sort(out, [](const Known& a, const Known& b) {
    return std::tie(a.instance.launched_at, a.launched_at, a.number, a.instance.id) <
           std::tie(b.instance.launched_at, b.launched_at, b.number, b.instance.id);
  });
  return out;
}

// EC2's view lags behind what this process did: it is put right from memory, for a while.
void Ec2Fleet::merge(const std::vector<Ec2Instance>& seen, std::vector<Known>& out) {
  std::lock_guard lock(mutex_);
  const MonoTime now = session_.clock().mono_now();
  for (const Ec2Instance& instance : seen) {
    std::erase_if(new_, [&](const auto& one) { return one.first.instance.id == instance.id; });
    say_if_ended_at_once(instance);
    if (is_gone(instance.state)) continue;
    Known one = known(instance);
    if (ended_.contains(instance.id)) one.instance.state = InstanceState::stopping;
    out.push_back(std::move(one));
  }
  std::erase_if(young_, [&](const auto& one) { return now - one.second >= kYoung; });
  std::erase_if(ended_, [&](const auto& one) { return now - one.second >= options_.appear_max; });
  std::erase_if(new_, [&](const auto& one) {
    if (now - one.second < options_.appear_max) return false;
    log::warning("EC2 does not show an instance that it launched; it counts as ended",
                 {{"instance", one.first.instance.id}});
    return true;
  });
  for (const auto& [one, since] : new_) {
    out.push_back(one);
    if (ended_.contains(one.instance.id)) out.back().instance.state = InstanceState::stopping;
  }
}

// With mutex_ held. Nobody told it to end: EC2 says why (no room for its volume, a key that may not be used, Spot).
void Ec2Fleet::say_if_ended_at_once(const Ec2Instance& instance) {
  const bool ends = state_of(instance.state) == InstanceState::stopping;
  if (!ends || young_.erase(instance.id) == 0 || ended_.contains(instance.id)) return;
  log::error("an instance ended by itself soon after its launch",
             {{"instance", instance.id},
              {"state", instance.state},
              {"reason", instance.state_reason.empty() ? "EC2 names none; its console output may (instance log)"
                                                       : instance.state_reason}});
}

// The instances of an earlier launch in the state that they have now; "stopping" for those that are gone.
std::optional<std::vector<Instance>> Ec2Fleet::launched_before(const LaunchToken& token,
                                                               const std::vector<Known>& now) const {
  const auto launch = std::ranges::find(launches_, token, &Launched::token);
  std::vector<Instance> out;
  if (launch == launches_.end()) {
    for (const Known& one : now) {
      if (one.launch == token.str()) out.push_back(one.instance);
    }
    if (out.empty()) return std::nullopt;
    return out;
  }
  for (Instance instance : launch->instances) {
    const auto found = std::ranges::find(now, instance.id, [](const Known& one) { return one.instance.id; });
    instance.state = found == now.end() ? InstanceState::stopping : found->instance.state;
    out.push_back(std::move(instance));
  }
  return out;
}

Result<Ec2Launch> Ec2Fleet::plan(const LaunchRequest& request, const std::vector<Known>& now) const {
  const int room = options_.instances_max - static_cast<int>(now.size());
  if (room <= 0) {
    return fail(ErrorKind::throttled, "fleet_full",
                "All " + std::to_string(options_.instances_max) + " instances that are allowed are there.");
  }
  std::set<int> taken;
  for (const Known& one : now) taken.insert(one.number);
  Ec2Launch out{
      .token = request.token, .numbers = {}, .at = session_.clock().wall_now(), .tags_in_metadata = tags_in_metadata_};
  for (int number = 1; static_cast<int>(out.numbers.size()) < std::min(room, request.count); ++number) {
    if (taken.contains(number)) continue;
    out.numbers.push_back(number);
    if (to_app_tiers(out.numbers).size() > kTagBytesMax) {  // the rest is another launch
      out.numbers.pop_back();
      break;
    }
  }
  const auto refused = refusals_.find(request.token);
  if (refused != refusals_.end()) out.attempt = refused->second;
  return out;
}

Result<std::vector<Instance>> Ec2Fleet::launch(const LaunchRequest& request, const CallLimits& limits) {
  if (request.count < 1 || request.token.empty() || request.token.str().size() > kTagBytesMax) {
    return fail(ErrorKind::invalid, "bad_launch", "A launch has a count of 1 or more, and a token of 1 to 256 bytes.");
  }
  std::lock_guard launching(launching_);
  const auto now = list(limits);
  if (!now) return fail(now.error());
  {
    std::lock_guard lock(mutex_);
    if (auto before = launched_before(request.token, *now)) return *std::move(before);
  }
  // A launch whose answer was lost: the very same request again, so that EC2 knows its token.
  if (const auto planned = parse_plan(request.plan, request.token); planned && !unanswered_.contains(request.token)) {
    const auto pool = std::ranges::find(pools_, planned->second, &Pool::what);
    if (pool != pools_.end()) keep_unanswered(planned->first, static_cast<std::size_t>(pool - pools_.begin()));
  }
  if (const auto lost = unanswered_.find(request.token); lost != unanswered_.end()) {
    return run_in_turn(lost->second.launch, request.note, limits);
  }
  auto launch = plan(request, *now);
  if (!launch) return fail(launch.error());
  return run_in_turn(*std::move(launch), request.note, limits);
}

void Ec2Fleet::keep_unanswered(const Ec2Launch& launch, std::size_t pool) {
  if (unanswered_.size() >= kLaunchesKept) unanswered_.clear();
  unanswered_[launch.token] = {launch, pool};
}

Result<std::vector<Instance>> Ec2Fleet::run_in_turn(Ec2Launch launch, const Note& note, const CallLimits& limits) {
  std::optional<CallFailure> refusal;
  std::size_t first = 0;
  const auto lost = unanswered_.find(launch.token);
  if (lost != unanswered_.end()) {
    first = lost->second.pool;
    unanswered_.erase(lost);
  }
  for (std::size_t i = first; i < pools_.size(); ++i) {
    Pool& pool = pools_[i];
    if (session_.clock().mono_now() < pool.not_before) continue;
    if (note) {
      if (auto noted = note(to_plan(launch, pool.what)); !noted) {
        keep_unanswered(launch, i);
        return fail(noted.error());
      }
    }
    const auto ran = api_.run(run_parameters(options_, pool.what, launch), limits);
    if (ran) {
      pool.failures = 0;
      return started(launch, *ran);
    }
    const CallFailure& failure = ran.error();
    if (launch.tags_in_metadata && refuses_tags_in_metadata(failure)) {
      stop_showing_tags(launch, failure.error);
      --i;  // the same pool again
      continue;
    }
    if (failure.aws_code == "IdempotentParameterMismatch") return find_launched(launch, failure.error, limits);
    if (failure.error.kind == ErrorKind::transient || failure.error.kind == ErrorKind::cancelled) {
      keep_unanswered(launch, i);
      return fail(failure.error);
    }
    if (!is_pool_error(failure.aws_code)) return fail(failure.error);
    pause(pool, failure);
    refusal = failure;
  }
  if (refusals_.size() >= kLaunchesKept) refusals_.clear();
  refusals_[launch.token] = launch.attempt + 1;
  if (refusal) return fail(refusal->error);
  return fail(ErrorKind::throttled, "no_capacity",
              "EC2 had no capacity in any of the " + std::to_string(pools_.size()) +
                  " pools (instance type and zone) just now; they are asked again after a pause. Allow more instance "
                  "types or zones.");
}

void Ec2Fleet::stop_showing_tags(Ec2Launch& launch, const Error& error) {
  log::warning(
      "the launch template has tags that instance metadata cannot show: workers start without their app tier's "
      "number. Rename these tags (no blanks, no slashes) or set aws.bundle_key",
      {{"launch_template", options_.launch_template}, {"reason", error.message}});
  tags_in_metadata_ = launch.tags_in_metadata = false;
  ++launch.attempt;
}

void Ec2Fleet::pause(Pool& pool, const CallFailure& failure) {
  const int doublings = std::min(pool.failures++, kPauseDoublingsMax);
  const Millis duration = std::min(options_.pool_pause_max, options_.pool_pause_min * (1 << doublings));
  pool.not_before = session_.clock().mono_now() + duration;
  log::warning("a pool has no capacity and is left alone for a while", {{"instance_type", pool.what.instance_type},
                                                                        {"subnet", pool.what.subnet},
                                                                        {"zone", pool.what.zone},
                                                                        {"code", failure.aws_code},
                                                                        {"pause_ms", duration.count()}});
}

Result<std::vector<Instance>> Ec2Fleet::started(const Ec2Launch& launch, const std::vector<Ec2Instance>& instances) {
  std::lock_guard lock(mutex_);
  const MonoTime now = session_.clock().mono_now();
  std::vector<Ec2Instance> ordered = instances;
  std::ranges::sort(ordered, {}, &Ec2Instance::launch_index);
  std::vector<Instance> out;
  for (Ec2Instance& instance : ordered) {
    instance.tags[std::string(kAppTiersTag)] = to_app_tiers(launch.numbers);
    instance.tags[std::string(kLaunchTag)] = launch.token.str();
    instance.tags[std::string(kLaunchedAtTag)] = to_rfc3339(launch.at);
    young_.emplace(instance.id, now);
    Known one = known(instance);
    out.push_back(one.instance);
    if (!is_gone(instance.state)) new_.emplace_back(std::move(one), now);
  }
  launches_.push_back({launch.token, out});
  if (launches_.size() > kLaunchesKept) launches_.pop_front();
  return out;
}

// EC2 knows the token with other parameters: an earlier process launched with it, and died before it heard.
Result<std::vector<Instance>> Ec2Fleet::find_launched(const Ec2Launch& launch, const Error& error,
                                                      const CallLimits& limits) {
  for (int look = 0; look < kLooksMax; ++look) {
    const auto now = list(limits);
    if (!now) return fail(now.error());
    {
      std::lock_guard lock(mutex_);
      if (auto before = launched_before(launch.token, *now)) return *std::move(before);
    }
    if (limits.deadline.left(session_.clock()) < kLookAgain) break;
    if (!session_.clock().sleep_for(kLookAgain, limits.stop)) break;
  }
  return fail(error);
}

bool Ec2Fleet::is_recent(const InstanceId& id) {
  std::lock_guard lock(mutex_);
  const MonoTime now = session_.clock().mono_now();
  return std::ranges::any_of(
      new_, [&](const auto& one) { return one.first.instance.id == id && now - one.second < options_.appear_max; });
}

Result<void> Ec2Fleet::terminate(std::span<const InstanceId> ids, const CallLimits& limits) {
  std::vector<InstanceId> left(ids.begin(), ids.end());
  const CallLimits within = limits.at_most(session_.clock(), options_.call_deadline);
  for (int round = 1; !left.empty(); ++round) {
    if (auto done = terminate_once(left, within); !done) return done;
    if (left.empty()) break;
    const Millis pause = retry_delay(RetryClass::throttled, round, 0.5 + session_.rng().next_unit() / 2, "", {});
    if (pause >= within.deadline.left(session_.clock()) || !session_.clock().sleep_for(pause, within.stop)) {
      return fail(ErrorKind::transient, "not_terminated",
                  "EC2 TerminateInstances did not end " + std::to_string(left.size()) + " instances yet (" +
                      left.front().str() + "). It is tried again.");
    }
  }
  return {};
}

// Takes out of `left` what ends now, or is gone.
Result<void> Ec2Fleet::terminate_once(std::vector<InstanceId>& left, const CallLimits& limits) {
  const auto told = api_.terminate(left, limits);
  if (told) {
    std::lock_guard lock(mutex_);
    std::erase_if(left, [&](const InstanceId& id) {
      const auto found = told->find(id);
      const bool ends = found != told->end() && (found->second == "shutting-down" || is_gone(found->second));
      if (ends) ended_[id] = session_.clock().mono_now();
      return ends;
    });
    return {};
  }
  if (told.error().error.kind != ErrorKind::not_found) return fail(told.error().error);
  // One that is not found fails the call for all. It is gone, or was launched moments ago.
  std::vector<InstanceId> missing = named_in(told.error().error.message, left);
  if (missing.empty() && left.size() > 1) {
    return fail(told.error().error);
  }
  if (missing.empty()) missing = left;
  std::erase_if(
      left, [&](const InstanceId& id) { return std::ranges::find(missing, id) != missing.end() && !is_recent(id); });
  return {};
}

}  // namespace

Result<std::unique_ptr<Fleet>> make_ec2_fleet(Session& session, Ec2FleetOptions options) {
  if (auto checked = check_options(options); !checked) return fail(checked.error());
  return std::make_unique<Ec2Fleet>(session, std::move(options));
}

}  // namespace imgrec::aws
