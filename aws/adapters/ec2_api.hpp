// The calls of Amazon EC2 that the fleet makes, on ec2Query.
#pragma once

#include <expected>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aws/client/session.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

struct Ec2Instance {
  InstanceId id;
  std::string state;     // pending, running, shutting-down, terminated, stopping, stopped
  std::string type{};    // "c7i.large"
  std::string image{};   // "ami-…"
  int launch_index = 0;  // its place in the launch
  WallTime launched_at{};
  std::string state_reason;  // EC2's words: why it ended, or did not start; often empty
  std::map<std::string, std::string> tags;
};

struct ConsoleText {
  std::string text;     // as the instance wrote it; empty while EC2 has none
  std::string read_at;  // when EC2 took it, as EC2 writes it
};

using Ec2Filter = std::pair<std::string, std::vector<std::string>>;  // name, values of which one fits

/// Thread-safe.
class Ec2Api {
 public:
  Ec2Api(Session& session, Millis call_deadline) : session_(session), call_deadline_(call_deadline) {}

  /// parameters: those of RunInstances, with a ClientToken, so that another attempt launches nothing more.
  std::expected<std::vector<Ec2Instance>, CallFailure> run(const QueryPairs& parameters, const CallLimits& limits);

  /// Page by page.
  Result<std::vector<Ec2Instance>> describe(const std::vector<Ec2Filter>& filters, const CallLimits& limits);

  /// The states that the instances have now.
  std::expected<std::map<InstanceId, std::string>, CallFailure> terminate(std::span<const InstanceId> ids,
                                                                          const CallLimits& limits);

  /// Gives an Elastic IP to an instance, also one that another instance has. allocation: "eipalloc-…".
  Result<void> associate_address(const std::string& allocation, const InstanceId& instance, const CallLimits& limits);

  /// The last 64 KiB of its console: the latest where EC2 has that of the instance's type, else what EC2 kept minutes
  /// after its start or at its end.
  Result<ConsoleText> console(const InstanceId& id, const CallLimits& limits);

 private:
  CallResult call(const char* operation, const QueryPairs& parameters, const CallLimits& limits) {
    const CallLimits within = limits.at_most(session_.clock(), call_deadline_);
    return session_.query({"ec2", operation}, parameters, within.deadline, within.stop);
  }

  Session& session_;
  const Millis call_deadline_;
};

}  // namespace imgrec::aws
