#include "roles/controller/policy/policy.hpp"

#include <algorithm>

namespace imgrec {
namespace {

struct NamedPolicy {
  const char* name;
  Policy decide;
};

// One line for each policy.
constexpr NamedPolicy kPolicies[] = {
    {"depth", &decide_depth},
};

}  // namespace

Result<Policy> find_policy(const std::string& name) {
  std::string names;
  for (const NamedPolicy& policy : kPolicies) {
    if (policy.name == name) return policy.decide;
    names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  return fail(ErrorKind::invalid, "no_such_policy",
              "There is no scaling policy \"" + name + "\"; there is: " + names + ".");
}

int count_active(const std::vector<Instance>& instances) {
  return static_cast<int>(instances.size()) -
         static_cast<int>(std::ranges::count(instances, InstanceState::stopping, &Instance::state));
}

}  // namespace imgrec
