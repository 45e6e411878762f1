// The policy `per-batch`: one instance per ten messages, as many as one receive call carries.
#include <algorithm>

#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {

using policy_words::plural;

Decision decide_per_batch(const Observation& observation, PolicyState&, const ScalingRules& rules) {
  const std::uint64_t messages = count_messages(observation.depth);
  const std::uint64_t batches = messages / kBatchMax + (messages % kBatchMax != 0);
  const int limit = instance_limit(rules);
  const int wanted = static_cast<int>(std::min(batches, static_cast<std::uint64_t>(limit)));
  return {.wanted = wanted,
          .why = plural(messages, "message") + ", one instance per " + std::to_string(kBatchMax) + ", at most " +
                 std::to_string(limit),
          .ending = Ending::terminate};
}

}  // namespace imgrec
