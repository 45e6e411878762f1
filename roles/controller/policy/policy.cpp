#include "roles/controller/policy/policy.hpp"

namespace imgrec {

Result<Policy> find_policy(const std::string& name) {
  if (name == "depth") return &decide_depth;
  return fail(ErrorKind::invalid, "no_such_policy", "There is no scaling policy \"" + name + "\"; there is: depth.");
}

}  // namespace imgrec
