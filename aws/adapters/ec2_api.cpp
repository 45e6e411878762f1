#include "aws/adapters/ec2_api.hpp"

#include <charconv>

#include "aws/client/protocols.hpp"
#include "aws/client/sts.hpp"
#include "aws/client/wire/xml.hpp"
#include "lib/base/base64.hpp"

namespace imgrec::aws {
namespace {

constexpr int kPagesMax = 100;
constexpr int kPageSize = 1000;

Ec2Instance read_instance(const XmlElement& item) {
  Ec2Instance out;
  out.id = InstanceId(item.value("instanceId"));
  if (const XmlElement* state = item.at({"instanceState", "name"})) out.state = state->text;
  if (const XmlElement* reason = item.at({"stateReason", "message"})) out.state_reason = reason->text;
  out.type = item.value("instanceType");
  out.image = item.value("imageId");
  const std::string index = item.value("amiLaunchIndex");
  std::from_chars(index.data(), index.data() + index.size(), out.launch_index);
  if (const auto time = parse_expiry(item.value("launchTime"))) out.launched_at = *time;
  if (const XmlElement* tags = item.child("tagSet")) {
    for (const XmlElement* tag : tags->all("item")) out.tags.emplace(tag->value("key"), tag->value("value"));
  }
  return out;
}

void read_instances(const XmlElement& parent, std::vector<Ec2Instance>& out) {
  const XmlElement* set = parent.child("instancesSet");
  if (set == nullptr) return;
  for (const XmlElement* item : set->all("item")) out.push_back(read_instance(*item));
}

std::unexpected<CallFailure> bad_response(Error error) {
  return std::unexpected(CallFailure{.error = std::move(error), .aws_code = {}});
}

}  // namespace

std::expected<std::vector<Ec2Instance>, CallFailure> Ec2Api::run(const QueryPairs& parameters,
                                                                 const CallLimits& limits) {
  const auto got = call("RunInstances", parameters, limits);
  if (!got) return std::unexpected(got.error());
  const auto document = parse_xml(got->body);
  if (!document) return bad_response(document.error());
  std::vector<Ec2Instance> out;
  read_instances(*document, out);
  if (out.empty()) {
    return bad_response(
        {ErrorKind::transient, "bad_response", "EC2 RunInstances failed: the answer names no instance."});
  }
  return out;
}

Result<std::vector<Ec2Instance>> Ec2Api::describe(const std::vector<Ec2Filter>& filters, const CallLimits& limits) {
  QueryPairs parameters = {{"MaxResults", std::to_string(kPageSize)}};
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const std::string name = "Filter." + std::to_string(i + 1);
    parameters.emplace_back(name + ".Name", filters[i].first);
    append_list(parameters, name + ".Value", filters[i].second);
  }
  std::vector<Ec2Instance> out;
  std::string next;
  for (int page = 0; page < kPagesMax; ++page) {
    QueryPairs form = parameters;
    if (!next.empty()) form.emplace_back("NextToken", next);
    const auto got = call("DescribeInstances", form, limits);
    if (!got) return fail(got.error().error);
    const auto document = parse_xml(got->body);
    if (!document) return fail(document.error());
    // No answer of this name tells of no instances: what cannot be read is not "none".
    const XmlElement* reservations = document->child("reservationSet");
    if (reservations == nullptr) {
      return fail(ErrorKind::transient, "bad_response", "EC2 DescribeInstances failed: the answer holds no list.");
    }
    for (const XmlElement* reservation : reservations->all("item")) read_instances(*reservation, out);
    next = document->value("nextToken");
    if (next.empty()) return out;
  }
  return fail(ErrorKind::transient, "bad_response", "EC2 DescribeInstances failed: the answer does not end.");
}

std::expected<std::map<InstanceId, std::string>, CallFailure> Ec2Api::terminate(std::span<const InstanceId> ids,
                                                                                const CallLimits& limits) {
  QueryPairs parameters;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    parameters.emplace_back("InstanceId." + std::to_string(i + 1), ids[i].str());
  }
  const auto got = call("TerminateInstances", parameters, limits);
  if (!got) return std::unexpected(got.error());
  const auto document = parse_xml(got->body);
  if (!document) return bad_response(document.error());
  std::map<InstanceId, std::string> out;
  if (const XmlElement* set = document->child("instancesSet")) {
    for (const XmlElement* item : set->all("item")) {
      const XmlElement* state = item->at({"currentState", "name"});
      out.emplace(InstanceId(item->value("instanceId")), state == nullptr ? "" : state->text);
    }
  }
  return out;
}

Result<void> Ec2Api::associate_address(const std::string& allocation, const InstanceId& instance,
                                       const CallLimits& limits) {
  const auto got =
      call("AssociateAddress",
           {{"AllocationId", allocation}, {"InstanceId", instance.str()}, {"AllowReassociation", "true"}}, limits);
  if (!got) return fail(got.error().error);
  return {};
}

Result<ConsoleText> Ec2Api::console(const InstanceId& id, const CallLimits& limits) {
  constexpr const char* kOperation = "GetConsoleOutput";
  auto got = call(kOperation, {{"InstanceId", id.str()}, {"Latest", "true"}}, limits);
  // The latest is there of running instances on Nitro only.
  if (!got && (got.error().aws_code == "UnsupportedOperation" || got.error().aws_code == "IncorrectInstanceState")) {
    got = call(kOperation, {{"InstanceId", id.str()}}, limits);
  }
  if (!got) return fail(got.error().error);
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  if (document->value("instanceId").empty()) {
    return fail(ErrorKind::transient, "bad_response", "EC2 GetConsoleOutput failed: the answer names no instance.");
  }
  std::string encoded = document->value("output");
  std::erase_if(encoded, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  auto text = base64_decode(encoded);
  if (!text) return fail(text.error());
  return ConsoleText{.text = *std::move(text), .read_at = document->value("timestamp")};
}

}  // namespace imgrec::aws
