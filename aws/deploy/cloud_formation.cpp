#include "aws/deploy/cloud_formation.hpp"

#include <algorithm>

#include "aws/client/wire/xml.hpp"
#include "aws/deploy/stack_state.hpp"

namespace imgrec::aws {
namespace {

constexpr int kEventPagesMax = 50;  // of events there are 100 on each: a change of this stack has some hundred

std::unexpected<Error> bad_response(const char* operation) {
  return fail(ErrorKind::transient, "bad_response",
              std::string("CloudFormation ") + operation + " failed: the answer holds not what was asked for.");
}

StackResource read_resource(const XmlElement& item) {
  return {.name = item.value("LogicalResourceId"),
          .type = item.value("ResourceType"),
          .id = item.value("PhysicalResourceId"),
          .status = item.value("ResourceStatus"),
          .reason = item.value("ResourceStatusReason")};
}

// The event with which a change begins; what CloudFormation does by itself (a rollback, a clean-up) belongs to the
// change.
bool begins_change(const StackEvent& event, const Stack& stack) {
  constexpr std::string_view kFirst[] = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS",
                                         "REVIEW_IN_PROGRESS"};
  return is_stack_itself(event, stack) && std::ranges::find(kFirst, event.status) != std::end(kFirst);
}

// "Stack with id NAME does not exist", "ChangeSet [NAME] does not exist"
bool is_not_there(const CallFailure& failure) {
  return failure.aws_code.starts_with("ChangeSetNotFound") ||
         (failure.aws_code == "ValidationError" && failure.error.message.find("does not exist") != std::string::npos);
}

Error as_not_found(Error error) {
  error.kind = ErrorKind::not_found;
  return error;
}

ChangeSet read_change_set(const XmlElement& item) {
  return {.name = item.value("ChangeSetName"),
          .stack_id = item.value("StackId"),
          .status = item.value("Status"),
          .execution_status = item.value("ExecutionStatus"),
          .reason = item.value("StatusReason"),
          .description = item.value("Description"),
          .created_at = item.value("CreationTime"),
          .changes = {}};
}

void read_changes(const XmlElement& result, std::vector<ResourceChange>& out) {
  const XmlElement* list = result.child("Changes");
  if (list == nullptr) return;
  for (const XmlElement* item : list->all("member")) {
    const XmlElement* change = item->child("ResourceChange");
    if (change == nullptr) continue;
    out.push_back({.action = change->value("Action"),
                   .name = change->value("LogicalResourceId"),
                   .type = change->value("ResourceType"),
                   .replacement = change->value("Replacement")});
  }
}

}  // namespace

Result<std::optional<Stack>> CloudFormation::describe(const std::string& name, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStacks";
  const auto got = call(kOperation, {{"StackName", name}}, limits);
  if (!got && is_not_there(got.error())) return std::nullopt;
  if (!got) return fail(got.error().error);
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  const XmlElement* item = document->at({"DescribeStacksResult", "Stacks", "member"});
  if (item == nullptr) return bad_response(kOperation);
  Stack out{.id = item->value("StackId"),
            .status = item->value("StackStatus"),
            .reason = item->value("StackStatusReason"),
            .outputs = {},
            .role = item->value("RoleARN")};
  if (const XmlElement* outputs = item->child("Outputs")) {
    for (const XmlElement* one : outputs->all("member")) {
      out.outputs.emplace_back(one->value("OutputKey"), one->value("OutputValue"));
    }
  }
  return out;
}

Result<std::vector<StackResource>> CloudFormation::resources(const Stack& stack, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStackResources";  // up to 100 at once, and our template has fewer
  const auto got = call(kOperation, {{"StackName", stack.id}}, limits);
  if (!got) return fail(got.error().error);
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  const XmlElement* list = document->at({"DescribeStackResourcesResult", "StackResources"});
  if (list == nullptr) return bad_response(kOperation);
  std::vector<StackResource> out;
  for (const XmlElement* item : list->all("member")) out.push_back(read_resource(*item));
  return out;
}

Result<void> CloudFormation::read_pages(const char* operation, const QueryPairs& parameters, const OnPage& on_page,
                                        const CallLimits& limits) {
  std::string next;
  for (int page = 0; page < kEventPagesMax; ++page) {
    QueryPairs form = parameters;
    if (!next.empty()) form.emplace_back("NextToken", next);
    const auto got = call(operation, form, limits);
    if (!got) return fail(is_not_there(got.error()) ? as_not_found(got.error().error) : got.error().error);
    const auto document = parse_xml(got->body);
    if (!document) return fail(document.error());
    const XmlElement* result = document->child(std::string(operation) + "Result");
    if (result == nullptr) return bad_response(operation);
    const auto more = on_page(*result);
    if (!more) return fail(more.error());
    next = result->value("NextToken");
    if (!*more || next.empty()) return {};
  }
  return fail(ErrorKind::invalid, "too_many_pages",
              std::string("CloudFormation ") + operation + " tells more than can be read here: see its console.");
}

Result<std::vector<StackEvent>> CloudFormation::latest_events(const Stack& stack, const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeStackEvents";
  std::vector<StackEvent> out;
  const auto on_page = [&](const XmlElement& result) -> Result<bool> {
    const XmlElement* list = result.child("StackEvents");
    if (list == nullptr) return bad_response(kOperation);
    for (const XmlElement* item : list->all("member")) {
      out.push_back({read_resource(*item), item->value("EventId")});
      if (begins_change(out.back(), stack)) return false;
    }
    return true;
  };
  if (auto read = read_pages(kOperation, {{"StackName", stack.id}}, on_page, limits); !read) return fail(read.error());
  return out;
}

Result<std::vector<ChangeSet>> CloudFormation::change_sets(const Stack& stack, const CallLimits& limits) {
  constexpr const char* kOperation = "ListChangeSets";
  std::vector<ChangeSet> out;
  const auto on_page = [&](const XmlElement& result) -> Result<bool> {
    const XmlElement* list = result.child("Summaries");
    if (list == nullptr) return bad_response(kOperation);
    for (const XmlElement* item : list->all("member")) {
      ChangeSet one = read_change_set(*item);
      if (one.stack_id == stack.id) out.push_back(std::move(one));
    }
    return true;
  };
  if (auto read = read_pages(kOperation, {{"StackName", stack.id}}, on_page, limits); !read) return fail(read.error());
  return out;
}

Result<void> CloudFormation::create_change_set(const ChangeSetRequest& request, const CallLimits& limits) {
  QueryPairs form = {{"StackName", request.stack},
                     {"ChangeSetName", request.name},
                     {"ChangeSetType", request.creates ? "CREATE" : "UPDATE"},
                     {"ClientToken", request.name},
                     {"Description", request.description},
                     {"Capabilities.member.1", "CAPABILITY_NAMED_IAM"},
                     {"ImportExistingResources", "true"}};
  if (request.template_url.empty()) {
    form.emplace_back("TemplateBody", request.template_text);
  } else {
    form.emplace_back("TemplateURL", request.template_url);
  }
  if (!request.role.empty()) form.emplace_back("RoleARN", request.role);
  for (std::size_t i = 0; i < request.parameters.size(); ++i) {
    const std::string member = "Parameters.member." + std::to_string(i + 1);
    const StackParameter& one = request.parameters[i];
    form.emplace_back(member + ".ParameterKey", one.name);
    form.emplace_back(member + (one.value ? ".ParameterValue" : ".UsePreviousValue"), one.value.value_or("true"));
  }
  for (std::size_t i = 0; i < request.tags.size(); ++i) {
    const std::string member = "Tags.member." + std::to_string(i + 1);
    form.emplace_back(member + ".Key", request.tags[i].first);
    form.emplace_back(member + ".Value", request.tags[i].second);
  }
  const auto got = call("CreateChangeSet", form, limits);
  if (!got) return fail(got.error().error);
  return {};
}

Result<std::optional<ChangeSet>> CloudFormation::change_set(const std::string& stack, const std::string& name,
                                                            const CallLimits& limits) {
  constexpr const char* kOperation = "DescribeChangeSet";
  std::optional<ChangeSet> out;
  const auto on_page = [&](const XmlElement& result) -> Result<bool> {
    if (result.value("Status").empty()) return bad_response(kOperation);
    if (!out) out = read_change_set(result);
    read_changes(result, out->changes);
    return true;
  };
  const auto read = read_pages(kOperation, {{"StackName", stack}, {"ChangeSetName", name}}, on_page, limits);
  if (!read && read.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!read) return fail(read.error());
  return out;
}

Result<void> CloudFormation::delete_change_set(const std::string& stack, const std::string& name,
                                               const CallLimits& limits) {
  const auto got = call("DeleteChangeSet", {{"StackName", stack}, {"ChangeSetName", name}}, limits);
  if (!got && !is_not_there(got.error())) return fail(got.error().error);
  return {};
}

Result<void> CloudFormation::execute(const std::string& stack, const std::string& name, const CallLimits& limits) {
  const auto got = call(
      "ExecuteChangeSet",
      {{"StackName", stack}, {"ChangeSetName", name}, {"ClientRequestToken", name}, {"RetainExceptOnCreate", "true"}},
      limits);
  if (got) return {};
  const CallFailure& failure = got.error();
  if (is_not_there(failure) || failure.aws_code.starts_with("InvalidChangeSetStatus")) {
    return fail(ErrorKind::not_found, "no_change_set",
                "The change set " + name +
                    " cannot be executed any more: another change of the stack began meanwhile. " +
                    failure.error.message);
  }
  return fail(failure.error);
}

Result<void> CloudFormation::delete_stack(const Stack& stack, const CallLimits& limits) {
  const auto got = call("DeleteStack", {{"StackName", stack.id}}, limits);
  if (!got) return fail(got.error().error);
  return {};
}

}  // namespace imgrec::aws
