// The policy `slo`: as few instances as answer each image within the wanted wait (or one boot and the wanted wait, when
// it finds no machine).
//
// All work is counted in machine-seconds. With s seconds per image, r images a second arriving, and H seconds until an
// instance that is launched now works:
//   backlog(H) = messages x s + r x s x H - what ready and booting instances can do until then, never below 0
//   needed     = r x s + sqrt(r x s) / 2 + backlog(H) / (0.8 x wanted wait)
// The first term keeps up with what arrives, the second absorbs its variation (square-root staffing: Halfin and Whitt,
// "Heavy-traffic limits for queues with many exponential servers", 1981), the third has the backlog gone in time. Work
// that will be done before a new instance is up is in no term.
//
// Instances go when they were not needed for a while: launching one again costs a boot, so an idle one may cost about
// as much before it goes (the ski-rental rule: at most twice the cost of knowing the future). How long that is, is
// learned: twice as long when one was missed soon after it went, half as long when none was.
#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "roles/controller/policy/arrivals.hpp"
#include "roles/controller/policy/capacity.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {
namespace {

using policy_words::plural;
using policy_words::rounded;
using policy_words::seconds_text;

constexpr double kWaitShare = 0.8;      // of the wanted wait is planned for; the rest is for boots that take longer
constexpr double kSpareToLaunch = 0.5;  // times the square root of the load
constexpr double kSpareToStay = 1.0;    // the difference keeps the number still while the load is steady
constexpr double kSoonS = 5;            // an instance that has less work than this is not needed for the backlog
constexpr double kSparse = 0.1;         // with less load than this, the gaps between images decide
constexpr int kEmptyReadings = 3;       // in a row, before the last instance goes
constexpr Seconds kRateSpan{30};        // over which Signals::arrivals_per_s is the mean
constexpr Seconds kHoldMin{15}, kHoldMax{300};  // how long instances stay although they are not needed
constexpr Seconds kMinutes{60};
constexpr Seconds kRegretSpan{240};  // a launch so soon after instances went says that they went too early

// The numbers of instances that were needed lately.
class Needs {
 public:
  // Adds the need of now, and returns the most that was needed within `span`.
  int most(int need, MonoTime now, Millis span) {
    while (!needs_.empty() && needs_.back().instances <= need) needs_.pop_back();
    needs_.push_back({.at = now, .instances = need});
    while (needs_.front().at < now - span) needs_.pop_front();
    return needs_.front().instances;
  }

 private:
  struct Need {
    MonoTime at{};
    int instances = 0;
  };
  std::deque<Need> needs_;  // oldest first, each less than the one before
};

struct SloMemory {
  ImageTime image_time;
  Arrivals arrivals;
  Gaps gaps;
  Needs to_keep_up;  // with what arrives; remembered for `hold`
  Needs in_all;      // with what has piled up besides; remembered for kHoldMin
  Millis hold{kHoldMin};
  std::optional<MonoTime> shrunk_at;  // instances went, and none was launched since
  std::optional<MonoTime> worked_at;  // an instance was ready then
  std::optional<MonoTime> empty_since;
  int empty_readings = 0;
};

struct Forecast {
  double messages = 0;  // visible, in flight, or known to have arrived
  double image_s = 0;
  double boot_s = 0;
  ArrivalRate rate;
  double backlog_s = 0;  // machine-seconds that are left when an instance launched now is ready
};

int rounded_up(double instances, int limit) {
  return static_cast<int>(std::clamp(std::ceil(instances - 1e-9), 0.0, static_cast<double>(limit)));
}

double with_spare(double load, double spare) {
  return load > 0 ? load + spare * std::sqrt(load) : 0;
}

Forecast predict(const Observation& observation, SloMemory& memory, const ScalingRules& rules, const Capacity& capacity,
                 bool after_gap) {
  Forecast forecast;
  memory.image_time.observe(observation, capacity.ready, after_gap);
  forecast.image_s = std::max(memory.image_time.seconds(observation, rules), 1e-6);
  forecast.boot_s = to_s(observation.signals.boot_mean.value_or(rules.assumed_boot));
  forecast.rate = memory.arrivals.observe(observation, capacity.ready, forecast.image_s, after_gap);
  forecast.messages = static_cast<double>(count_messages(observation.depth));
  // The counts come late. As long as nobody has worked, all that has arrived is still there.
  if (capacity.ready > 0) memory.worked_at = observation.at;
  if (!memory.worked_at || observation.at - *memory.worked_at > kRateSpan) {
    const double arrived = observation.signals.arrivals_per_s.value_or(0) * to_s(kRateSpan);
    forecast.messages = std::max(forecast.messages, std::floor(arrived + 0.5));
  }
  const double horizon_s = forecast.boot_s;
  const double rate = forecast.rate.low + forecast.rate.growth * horizon_s / 2;  // the mean until then
  const double supply_s =
      std::accumulate(capacity.boot_left_s.begin(), capacity.boot_left_s.end(), capacity.ready * horizon_s,
                      [&](double sum, double left_s) { return sum + std::max(0.0, horizon_s - left_s); });
  const double demand_s = (forecast.messages + rate * horizon_s) * forecast.image_s;
  forecast.backlog_s = std::max(0.0, demand_s - supply_s);
  return forecast;
}

// Instances that are launched again soon after others went have cost a boot, and images a wait: the next ones stay
// twice as long. When none was missed for long enough, the next ones stay half as long.
void learn_hold(SloMemory& memory, int here, int wanted, MonoTime now) {
  if (wanted > here && memory.shrunk_at) {
    const bool missed = here > 0 && now - *memory.shrunk_at < kRegretSpan;
    if (missed) memory.hold = std::min<Millis>(2 * memory.hold, kHoldMax);
    memory.shrunk_at.reset();
  }
  if (wanted < here) {
    const bool unmissed = memory.shrunk_at && now - *memory.shrunk_at > kRegretSpan;
    if (unmissed) memory.hold = std::max<Millis>(memory.hold / 2, kHoldMin);
    memory.shrunk_at = now;
  }
}

int needed_to_launch_for(const Forecast& forecast, const ScalingRules& rules, int limit) {
  const double horizon_s = forecast.boot_s;
  const double load = (forecast.rate.low + forecast.rate.growth * horizon_s) * forecast.image_s;
  const double to_keep_up = with_spare(load, kSpareToLaunch);
  const double to_catch_up = forecast.backlog_s / std::max(1e-3, kWaitShare * to_s(rules.wanted_wait));
  return rounded_up(to_keep_up + to_catch_up, limit);
}

int needed_to_keep_up(const Forecast& forecast, int limit) {
  const double load = forecast.rate.high * forecast.image_s;
  return load < kSparse ? 0 : rounded_up(with_spare(load, kSpareToStay), limit);
}

// Those that are there because much had piled up go soon after it is worked off: only what keeps up with the arrivals
// would be missed when the next ones come.
int needed_to_stay(SloMemory& memory, const Forecast& forecast, const Capacity& capacity, int launch_for, int limit,
                   MonoTime now) {
  const int to_work_off = rounded_up(forecast.messages * forecast.image_s / kSoonS, limit);
  const int lately = memory.in_all.most(std::max({to_work_off, capacity.busy, launch_for}), now, kHoldMin);
  return std::max(lately, memory.to_keep_up.most(needed_to_keep_up(forecast, limit), now, memory.hold));
}

void count_empty_reading(SloMemory& memory, bool work, MonoTime now, bool after_gap) {
  if (work || after_gap) memory.empty_since.reset();
  if (work) return;
  if (!memory.empty_since) {
    memory.empty_since = now;
    memory.empty_readings = 0;
  }
  ++memory.empty_readings;
}

struct LastOne {
  std::string stays_because{};  // although nothing is to be done; empty: it goes
  bool for_minutes = false;
};

LastOne consider_last_one(const Observation& observation, const SloMemory& memory, const ScalingRules& rules) {
  const bool sound = memory.empty_since && memory.empty_readings >= kEmptyReadings &&
                     observation.at - *memory.empty_since >= rules.idle_cooldown;
  if (!sound) return {.stays_because = "one stays for the idle cooldown"};
  const auto last = memory.gaps.last_arrival(observation);
  const Millis longest = memory.gaps.longest_expected(observation, rules);
  if (last && observation.at - *last < longest) {
    return {.stays_because =
                "one stays, since by the gaps so far the next image comes within " + seconds_text(to_s(longest)),
            .for_minutes = *last + longest - observation.at > kMinutes};
  }
  return {};
}

std::string describe(const Forecast& forecast, const Capacity& capacity) {
  return rounded(forecast.messages) + " messages of " + seconds_text(forecast.image_s) + ", " +
         rounded(forecast.rate.low) + "/s arriving, " + std::to_string(capacity.ready) + " ready, " +
         std::to_string(capacity.boot_left_s.size()) + " booting, " + seconds_text(forecast.backlog_s) +
         " of work left after a boot of " + seconds_text(forecast.boot_s);
}

}  // namespace

Decision decide_slo(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  auto& memory = state.get<SloMemory>();
  const int limit = instance_limit(rules);
  const int here = std::max(0, count_projected(observation));
  const auto messages = count_messages(observation.depth);
  const Capacity capacity = find_capacity(observation, rules, static_cast<double>(messages));
  memory.gaps.observe(observation, messages > 0);
  const Forecast forecast = predict(observation, memory, rules, capacity, state.after_gap);
  const bool work = forecast.messages >= 1;
  count_empty_reading(memory, work, observation.at, state.after_gap);

  int launch_for = needed_to_launch_for(forecast, rules, limit);
  if (work) launch_for = std::max(launch_for, 1);
  launch_for = std::min(limit, launch_for + (launch_for > 0 ? capacity.stuck : 0));
  const int stay = needed_to_stay(memory, forecast, capacity, launch_for, limit, observation.at);

  std::string why = describe(forecast, capacity);
  const auto decision = [&](int wanted, const std::string& reason) {
    learn_hold(memory, here, wanted, observation.at);
    return Decision{.wanted = wanted, .why = std::move(why) + ": " + reason};
  };
  if (launch_for > here) {
    const bool more = launch_for == limit && forecast.backlog_s > 0;
    return decision(launch_for, plural(static_cast<std::uint64_t>(launch_for), "instance") + " for an answer within " +
                                    seconds_text(to_s(rules.wanted_wait)) + (more ? ", the most allowed" : ""));
  }
  int wanted = std::min(here, std::max(stay, launch_for));
  std::string reason =
      wanted == here ? "enough are there" : "the others were not needed for " + seconds_text(to_s(memory.hold));
  if (rules.instance_dollars_per_hour > 0 && capacity.billed_anyway > wanted) {
    wanted = std::min(here, capacity.billed_anyway);
    reason = "young ones stay, since their first minute is paid for";
  }
  if (wanted == 0 && here > 0) {
    const LastOne last = consider_last_one(observation, memory, rules);
    if (!last.stays_because.empty()) {
      Decision one = decision(1, last.stays_because);
      one.settled = here == 1 && last.for_minutes;
      return one;
    }
    reason = "nothing came for a while";
  }
  if (here == 0) reason = "no work";
  return decision(wanted, reason);
}

}  // namespace imgrec
