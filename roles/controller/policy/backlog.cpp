// The policy `backlog`: AWS's recipe for queues. The wanted wait divided by the time of one image is the backlog that
// an instance may have; the backlog divided by that is the number of instances (Amazon EC2 Auto Scaling User Guide,
// "Scaling policy based on Amazon SQS"). What the recipe lacks is added: messages in flight count, no instance is no
// division by zero, and the time of an image is measured.
#include <algorithm>
#include <cmath>

#include "roles/controller/policy/capacity.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {
namespace {

using policy_words::plural;
using policy_words::seconds_text;

struct BacklogMemory {
  ImageTime image_time;
  // When fewer were wanted than there are, and the most wanted since then.
  std::optional<MonoTime> fewer_since;
  int most = 0;
};

}  // namespace

Decision decide_backlog(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  auto& memory = state.get<BacklogMemory>();
  const auto messages = count_messages(observation.depth);
  const Capacity capacity = find_capacity(observation, rules, static_cast<double>(messages));
  memory.image_time.observe(observation, capacity.ready, state.after_gap);
  const double image_s = memory.image_time.seconds(observation, rules);
  const double wait_s = std::chrono::duration<double>(rules.wanted_wait).count();
  const double acceptable = std::max(1.0, wait_s / std::max(image_s, 1e-6));
  const int limit = instance_limit(rules);
  const int here = std::max(0, count_projected(observation));
  const int needed = static_cast<int>(std::min<double>(limit, std::ceil(static_cast<double>(messages) / acceptable)));
  std::string why = plural(messages, "message") + ", " + seconds_text(image_s) + " each, so " +
                    std::to_string(static_cast<std::uint64_t>(acceptable)) + " per instance within " +
                    seconds_text(wait_s) + ", at most " + std::to_string(limit);

  if (needed >= here) {
    memory.fewer_since.reset();
    return {.wanted = needed, .why = std::move(why)};
  }
  if (!memory.fewer_since || state.after_gap) {
    memory.fewer_since = observation.at;
    memory.most = 0;
  }
  memory.most = std::max(memory.most, needed);
  if (observation.at - *memory.fewer_since < rules.idle_cooldown) {
    return {.wanted = here, .why = std::move(why) + "; instances stay for the idle cooldown"};
  }
  const int wanted = memory.most;
  memory.fewer_since.reset();
  return {.wanted = wanted, .why = std::move(why) + "; fewer were needed for the whole idle cooldown"};
}

}  // namespace imgrec
