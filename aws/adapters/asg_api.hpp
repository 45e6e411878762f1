// The calls of EC2 Auto Scaling that the fleet and doctor make.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "aws/client/session.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

struct AsgInstance {
  InstanceId id;
  std::string lifecycle;  // "Pending", "InService", "Terminating:Wait", …
  std::string type{};     // "c7i.large"
};

struct AsgGroup {
  std::string name;
  int min = 0, max = 0, desired = 0;
  bool protects_new = false;           // NewInstancesProtectedFromScaleIn
  std::vector<std::string> suspended;  // processes
  std::vector<AsgInstance> instances;
};

/// Thread-safe.
class AsgApi {
 public:
  AsgApi(Session& session, Millis call_deadline) : session_(session), call_deadline_(call_deadline) {}

  /// Errors: not_found "no_such_group".
  Result<AsgGroup> describe(const std::string& group, const CallLimits& limits);
  Result<void> set_desired(const std::string& group, int desired, const CallLimits& limits);
  struct Size {
    int min = 0, max = 0, desired = 0;
  };
  Result<void> set_size(const std::string& group, const Size& size, const CallLimits& limits);
  /// Returns false when the instance is in no group any more.
  Result<bool> terminate(const InstanceId& id, bool decrement, const CallLimits& limits);

 private:
  CallResult call(const char* operation, const QueryPairs& parameters, const CallLimits& limits) {
    const CallLimits within = limits.at_most(session_.clock(), call_deadline_);
    return session_.query({"autoscaling", operation}, parameters, within.deadline, within.stop);
  }

  Session& session_;
  const Millis call_deadline_;
};

}  // namespace imgrec::aws
