// CloudFormation through the signed client, in the query protocol.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/deploy/stack_service.hpp"

namespace imgrec::aws {

struct XmlElement;

class CloudFormation final : public StackService {
 public:
  /// session outlives it.
  explicit CloudFormation(Session& session) : session_(session) {}

  Result<std::optional<Stack>> describe(const std::string& stack, const CallLimits& limits) override;
  /// In the order of CloudFormation.
  Result<std::vector<StackResource>> resources(const Stack& stack, const CallLimits& limits);
  Result<std::vector<StackEvent>> latest_events(const Stack& stack, const CallLimits& limits) override;
  Result<std::vector<ChangeSet>> change_sets(const Stack& stack, const CallLimits& limits) override;
  Result<void> create_change_set(const ChangeSetRequest& request, const CallLimits& limits) override;
  Result<std::optional<ChangeSet>> change_set(const std::string& stack, const std::string& name,
                                              const CallLimits& limits) override;
  Result<void> delete_change_set(const std::string& stack, const std::string& name, const CallLimits& limits) override;
  Result<void> execute(const std::string& stack, const std::string& name, const CallLimits& limits) override;
  Result<void> delete_stack(const Stack& stack, const CallLimits& limits) override;

 private:
  CallResult call(const char* operation, const QueryPairs& parameters, const CallLimits& limits) {
    return session_.query({"cloudformation", operation}, parameters, limits.deadline, limits.stop);
  }

  /// Returns whether further pages are wanted.
  using OnPage = std::function<Result<bool>(const XmlElement& result)>;
  /// Errors: those of on_page and of the call, where the stack or change set is not there as not_found; invalid
  /// "too_many_pages".
  Result<void> read_pages(const char* operation, const QueryPairs& parameters, const OnPage& on_page,
                          const CallLimits& limits);

  Session& session_;
};

}  // namespace imgrec::aws
