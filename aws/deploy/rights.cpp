#include "aws/deploy/rights.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "aws/client/wire/xml.hpp"
#include "aws/deploy/template_policies.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

using nlohmann::ordered_json;

constexpr int kAnswerPagesMax = 20;  // of 100 answers each
constexpr std::string_view kAnyPartition = "arn:*:";

std::vector<std::string> texts_of(const ordered_json& one_or_many) {
  if (one_or_many.is_string()) return {one_or_many.get<std::string>()};
  return one_or_many.get<std::vector<std::string>>();
}

// A value that fulfils the condition: the first one, and of a pattern the part before its wildcard.
std::vector<std::pair<std::string, std::string>> contexts_of(const ordered_json& statement) {
  std::vector<std::pair<std::string, std::string>> out;
  if (!statement.contains("Condition")) return out;
  for (const auto& [test, keys] : statement["Condition"].items()) {
    for (const auto& [key, values] : keys.items()) {
      const std::string value = texts_of(values).front();
      out.emplace_back(key, value.substr(0, value.find('*')));
    }
  }
  return out;
}

QueryPairs form_of(const std::string& who, const RightsQuestion& question) {
  QueryPairs form = {{"PolicySourceArn", who}};
  const auto add = [&](const std::string& name, const std::vector<std::string>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      form.emplace_back(name + ".member." + std::to_string(i + 1), values[i]);
    }
  };
  add("ActionNames", question.actions);
  add("ResourceArns", question.resources);
  for (std::size_t i = 0; i < question.contexts.size(); ++i) {
    const std::string entry = "ContextEntries.member." + std::to_string(i + 1);
    form.emplace_back(entry + ".ContextKeyName", question.contexts[i].first);
    form.emplace_back(entry + ".ContextKeyType", "string");
    form.emplace_back(entry + ".ContextKeyValues.member.1", question.contexts[i].second);
  }
  return form;
}

std::string why_denied(const XmlElement& result, const std::string& decision) {
  if (decision == "explicitDeny") return "denied explicitly";
  const XmlElement* organization = result.child("OrganizationsDecisionDetail");
  if (organization != nullptr && organization->value("AllowedByOrganizations") == "false") {
    return "denied by the organization";
  }
  return "";
}

// One action; its decision for each resource is beneath it where several were asked about.
void read_result(const XmlElement& result, std::vector<MissingRight>& out) {
  const std::string action = result.value("EvalActionName");
  const auto add = [&](const std::string& resource, const std::string& decision) {
    if (decision != "allowed") {
      out.push_back({.action = action, .resource = resource, .why = why_denied(result, decision)});
    }
  };
  if (const XmlElement* each = result.child("ResourceSpecificResults"); each != nullptr && !each->children.empty()) {
    for (const XmlElement* one : each->all("member")) {
      add(one->value("EvalResourceName"), one->value("EvalResourceDecision"));
    }
    return;
  }
  const std::string resource = result.value("EvalResourceName");
  add(resource.empty() ? "*" : resource, result.value("EvalDecision"));
}

Result<void> ask(Session& session, QueryPairs form, std::vector<MissingRight>& out, const CallLimits& limits) {
  const std::size_t plain = form.size();
  for (int page = 0; page < kAnswerPagesMax; ++page) {
    const auto answer = session.query({"iam", "SimulatePrincipalPolicy"}, form, limits.deadline, limits.stop);
    if (!answer) return fail(answer.error().error);
    const auto document = parse_xml(answer->body);
    if (!document) return fail(document.error());
    const XmlElement* result = document->child("SimulatePrincipalPolicyResult");
    const XmlElement* list = result == nullptr ? nullptr : result->child("EvaluationResults");
    if (list == nullptr) {
      return fail(ErrorKind::transient, "bad_response",
                  "IAM SimulatePrincipalPolicy failed: the answer holds no results.");
    }
    for (const XmlElement* one : list->all("member")) read_result(*one, out);
    if (result->value("IsTruncated") != "true") return {};
    form.resize(plain);
    form.emplace_back("Marker", result->value("Marker"));
  }
  return fail(ErrorKind::transient, "bad_response", "IAM SimulatePrincipalPolicy failed: its answer has no end.");
}

}  // namespace

std::optional<AccountPlace> place_of(std::string_view arn, const std::string& region) {
  const auto parts = split(arn, ':');
  if (parts.size() < 6 || parts[0] != "arn" || parts[1].empty() || parts[4].empty()) return std::nullopt;
  return AccountPlace{.partition = std::string(parts[1]), .account = std::string(parts[4]), .region = region};
}

Result<std::vector<RightsQuestion>> questions_of(std::string_view policy, const Config& config,
                                                 const TemplateInputs& inputs, const AccountPlace& place) {
  const auto text = render_policy(policy, config, inputs,
                                  {.region = place.region,
                                   .account = place.account,
                                   .who = policy == kStackPolicy ? PolicyOf::stack : PolicyOf::deployer});
  if (!text) return fail(text.error());
  std::vector<RightsQuestion> out;
  const ordered_json document = ordered_json::parse(*text);
  for (const ordered_json& statement : document["Statement"]) {
    RightsQuestion question{
        .actions = texts_of(statement["Action"]), .resources = {}, .contexts = contexts_of(statement)};
    std::erase_if(question.actions, [](const std::string& action) { return action.ends_with('*'); });
    if (question.actions.empty()) continue;
    for (const std::string& arn : texts_of(statement["Resource"])) {
      if (arn == "*") continue;
      question.resources.push_back(
          arn.starts_with(kAnyPartition) ? "arn:" + place.partition + ":" + arn.substr(kAnyPartition.size()) : arn);
    }
    out.push_back(std::move(question));
  }
  return out;
}

Result<std::vector<MissingRight>> missing_rights(Session& session, const std::string& who,
                                                 std::span<const RightsQuestion> questions, const CallLimits& limits) {
  std::vector<MissingRight> out;
  for (const RightsQuestion& question : questions) {
    if (auto asked = ask(session, form_of(who, question), out, limits); !asked) return fail(asked.error());
  }
  return out;
}

std::optional<std::string> principal_of(Session& session, const std::string& arn, const CallLimits& limits) {
  const auto parts = split(arn, ':');
  if (parts.size() != 6) return std::nullopt;
  if (parts[5].starts_with("user/") || parts[5].starts_with("role/")) return arn;
  const auto names = split(parts[5], '/');
  if (names.size() < 2 || names[0] != "assumed-role") return std::nullopt;
  const std::string role(names[1]);
  const auto answer = session.query({"iam", "GetRole"}, {{"RoleName", role}}, limits.deadline, limits.stop);
  if (answer) {
    const auto document = parse_xml(answer->body);
    const XmlElement* found = document ? document->at({"GetRoleResult", "Role"}) : nullptr;
    if (found != nullptr && !found->value("Arn").empty()) return found->value("Arn");
  }
  // Most roles have no path.
  return "arn:" + std::string(parts[1]) + ":iam::" + std::string(parts[4]) + ":role/" + role;
}

std::string describe_missing(std::span<const MissingRight> missing, std::size_t most) {
  // By action: one may lack on many resources.
  std::vector<std::pair<const MissingRight*, std::size_t>> actions;
  for (const MissingRight& one : missing) {
    const auto same = [&](const auto& known) {
      return known.first->action == one.action && known.first->why == one.why;
    };
    if (const auto found = std::ranges::find_if(actions, same); found != actions.end()) {
      ++found->second;
    } else {
      actions.emplace_back(&one, 0);
    }
  }
  std::string out;
  for (const auto& [first, others] : std::span(actions).first(std::min(most, actions.size()))) {
    out += (out.empty() ? "" : ", ") + first->action + (first->resource == "*" ? "" : " on " + first->resource) +
           (others == 0 ? "" : " and " + std::to_string(others) + (others == 1 ? " other" : " others")) +
           (first->why.empty() ? "" : " (" + first->why + ")");
  }
  if (actions.size() > most) out += "; and " + std::to_string(actions.size() - most) + " more actions";
  return out;
}

}  // namespace imgrec::aws
