#include "aws/deploy/cloud_formation.hpp"

#include <algorithm>

#include "aws/client/wire/xml.hpp"

namespace imgrec::aws {
namespace {

constexpr int kPagesMax = 50;  // of events, 100 each: a change of this stack has some hundred

std::unexpected<Error> bad_response(const char* operation) {
  return fail(ErrorKind::transient, "bad_response",
              std::string("CloudFormation ") + operation + " failed: the answer holds no list.");
}

StackResource read_resource(const XmlElement& item) {
  return {.name = item.value("LogicalResourceId"),
          .type = item.value("ResourceType"),
          .id = item.value("PhysicalResourceId"),
          .status = item.value("ResourceStatus"),
          .reason = item.value("ResourceStatusReason")};
}

bool is_stack_itself(const StackEvent& event, const Stack& stack) {
  return event.type == "AWS::CloudFormation::Stack" && event.id == stack.id;
}

// The event with which a change begins; what CloudFormation does by itself (a rollback, a clean-up) belongs to the
// change.
bool begins_change(const StackEvent& event, const Stack& stack) {
  constexpr std::string_view kFirst[] = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS",
                                         "REVIEW_IN_PROGRESS"};
  return is_stack_itself(event, stack) && std::ranges::find(kFirst, event.status) != std::end(kFirst);
}

}  // namespace

Result<std::optional<Stack>> CloudFormation::describe(const std::string& name, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStacks";
  const auto got = session_.query({"cloudformation", kOperation}, {{"StackName", name}}, limits.deadline, limits.stop);
  if (!got) {
    // "Stack with id NAME does not exist"
    const CallFailure& failure = got.error();
    if (failure.aws_code == "ValidationError" && failure.error.message.find("does not exist") != std::string::npos) {
      return std::nullopt;
    }
    return fail(failure.error);
  }
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  const XmlElement* item = document->at({"DescribeStacksResult", "Stacks", "member"});
  if (item == nullptr) return bad_response(kOperation);
  Stack out{.id = item->value("StackId"),
            .status = item->value("StackStatus"),
            .reason = item->value("StackStatusReason"),
            .outputs = {}};
  if (const XmlElement* outputs = item->child("Outputs")) {
    for (const XmlElement* one : outputs->all("member")) {
      out.outputs.emplace_back(one->value("OutputKey"), one->value("OutputValue"));
    }
  }
  return out;
}

Result<std::vector<StackResource>> CloudFormation::resources(const Stack& stack, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStackResources";  // up to 100 at once, and our template has fewer
  const auto got =
      session_.query({"cloudformation", kOperation}, {{"StackName", stack.id}}, limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  const XmlElement* list = document->at({"DescribeStackResourcesResult", "StackResources"});
  if (list == nullptr) return bad_response(kOperation);
  std::vector<StackResource> out;
  for (const XmlElement* item : list->all("member")) out.push_back(read_resource(*item));
  return out;
}

Result<std::vector<StackEvent>> CloudFormation::latest_events(const Stack& stack, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStackEvents";
  std::vector<StackEvent> out;
  std::string next;
  for (int page = 0; page < kPagesMax; ++page) {
    QueryPairs parameters = {{"StackName", stack.id}};
    if (!next.empty()) parameters.emplace_back("NextToken", next);
    const auto got = session_.query({"cloudformation", kOperation}, parameters, limits.deadline, limits.stop);
    if (!got) return fail(got.error().error);
    const auto document = parse_xml(got->body);
    if (!document) return fail(document.error());
    const XmlElement* result = document->child("DescribeStackEventsResult");
    const XmlElement* list = result == nullptr ? nullptr : result->child("StackEvents");
    if (list == nullptr) return bad_response(kOperation);
    for (const XmlElement* item : list->all("member")) {
      out.push_back(read_resource(*item));
      if (begins_change(out.back(), stack)) return out;
    }
    next = result->value("NextToken");
    if (next.empty()) return out;
  }
  return fail(ErrorKind::invalid, "too_many_events",
              "The stack's latest change has more events than can be read here: see CloudFormation's console.");
}

std::optional<StackEvent> first_cause(std::span<const StackEvent> events, const Stack& stack) {
  const auto is_cause = [&](const StackEvent& event) {
    // "Resource creation cancelled", of what was under way when something else failed.
    return event.status.ends_with("_FAILED") && !is_stack_itself(event, stack) &&
           event.reason.find("cancelled") == std::string::npos;
  };
  const auto found = std::find_if(events.rbegin(), events.rend(), is_cause);
  if (found == events.rend()) return std::nullopt;
  return *found;
}

bool has_failed(std::string_view status) {
  return status.ends_with("_FAILED") || status.find("ROLLBACK") != std::string_view::npos;
}

}  // namespace imgrec::aws
