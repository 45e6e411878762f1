#include "aws/deploy/ec2_images.hpp"

#include <functional>

#include "aws/adapters/ec2_api.hpp"
#include "aws/client/protocols.hpp"
#include "aws/client/wire/xml.hpp"
#include "lib/base/base64.hpp"

namespace imgrec::aws {
namespace {

constexpr int kImagePagesMax = 50;
constexpr Millis kCallDeadline{60'000};
constexpr const char* kRootDevice = "/dev/xvda";  // of Debian's images
constexpr const char* kVolumeGib = "8";           // as they have, and as the workers' launch template says

std::map<std::string, std::string> read_tags(const XmlElement& item) {
  std::map<std::string, std::string> out;
  if (const XmlElement* tags = item.child("tagSet")) {
    for (const XmlElement* tag : tags->all("item")) out.emplace(tag->value("key"), tag->value("value"));
  }
  return out;
}

std::string tag_of(const std::map<std::string, std::string>& tags, std::string_view name) {
  const auto found = tags.find(std::string(name));
  return found == tags.end() ? "" : found->second;
}

MachineImage read_image(const XmlElement& item) {
  MachineImage out{.id = item.value("imageId"),
                   .state = item.value("imageState"),
                   .reason = {},
                   .recipe = tag_of(read_tags(item), kRecipeTag),
                   .created_at = item.value("creationDate"),
                   .snapshots = {}};
  if (const XmlElement* reason = item.at({"stateReason", "message"})) out.reason = reason->text;
  if (const XmlElement* devices = item.child("blockDeviceMapping")) {
    for (const XmlElement* device : devices->all("item")) {
      const XmlElement* snapshot = device->at({"ebs", "snapshotId"});
      if (snapshot != nullptr && !snapshot->text.empty()) out.snapshots.push_back(snapshot->text);
    }
  }
  return out;
}

void append_tags(QueryPairs& form, int number, const char* resource, const std::map<std::string, std::string>& tags) {
  const std::string name = "TagSpecification." + std::to_string(number);
  form.emplace_back(name + ".ResourceType", resource);
  int at = 0;
  for (const auto& [key, value] : tags) {
    const std::string tag = name + ".Tag." + std::to_string(++at);
    form.emplace_back(tag + ".Key", key);
    form.emplace_back(tag + ".Value", value);
  }
}

QueryPairs own(const std::string& fleet) {
  return {{"Owner.1", "self"}, {"Filter.1.Name", "tag:" + std::string(kImageOfTag)}, {"Filter.1.Value.1", fleet}};
}

// Each item of the list `set` of all pages.
Result<void> read_pages(Session& session, const char* operation, QueryPairs form, const char* set,
                        const std::function<void(const XmlElement&)>& on_item, const CallLimits& limits) {
  const std::size_t plain = form.size();
  for (int page = 0; page < kImagePagesMax; ++page) {
    const auto got = session.query({"ec2", operation}, form, limits.deadline, limits.stop);
    if (!got) return fail(got.error().error);
    const auto document = parse_xml(got->body);
    if (!document) return fail(document.error());
    // What cannot be read is not "none".
    const XmlElement* list = document->child(set);
    if (list == nullptr) break;
    for (const XmlElement* item : list->all("item")) on_item(*item);
    const std::string next = document->value("nextToken");
    if (next.empty()) return {};
    form.resize(plain);
    form.emplace_back("NextToken", next);
  }
  return fail(ErrorKind::transient, "bad_response",
              std::string("EC2 ") + operation + " failed: the answer holds no list, or has no end.");
}

// prefix: of the error that says that it is gone already, which is a success.
Result<void> remove(Session& session, const char* operation, const QueryPairs& form, std::string_view prefix,
                    const CallLimits& limits) {
  const auto got = session.query({"ec2", operation}, form, limits.deadline, limits.stop);
  if (got) return {};
  const std::string& code = got.error().aws_code;
  if (code.starts_with(prefix) && (code.ends_with(".NotFound") || code.ends_with(".Unavailable"))) return {};
  return fail(got.error().error);
}

}  // namespace

std::map<std::string, std::string> Ec2Images::tags_of(const std::string& recipe) const {
  auto out = tags_;
  out[std::string(kImageOfTag)] = fleet_;
  out[std::string(kRecipeTag)] = recipe;
  return out;
}

Result<std::vector<MachineImage>> Ec2Images::images(const CallLimits& limits) {
  std::vector<MachineImage> out;
  const auto read = read_pages(
      session_, "DescribeImages", own(fleet_), "imagesSet",
      [&](const XmlElement& item) { out.push_back(read_image(item)); }, limits);
  if (!read) return fail(read.error());
  return out;
}

Result<std::vector<Builder>> Ec2Images::builders(const CallLimits& limits) {
  const auto found = Ec2Api(session_, kCallDeadline).describe({{"tag:" + std::string(kImageOfTag), {fleet_}}}, limits);
  if (!found) return fail(found.error());
  std::vector<Builder> out;
  for (const Ec2Instance& one : *found) {
    out.push_back({.id = one.id,
                   .state = one.state,
                   .reason = one.state_reason,
                   .recipe = tag_of(one.tags, kRecipeTag),
                   .holder = tag_of(one.tags, kHolderTag),
                   .launched_at = one.launched_at});
  }
  return out;
}

Result<InstanceId> Ec2Images::launch(const BuilderRequest& request, const CallLimits& limits) {
  QueryPairs form = {{"MinCount", "1"},
                     {"MaxCount", "1"},
                     {"ClientToken", request.token},
                     {"ImageId", request.base_image},
                     {"InstanceType", request.instance_type},
                     {"IamInstanceProfile.Name", request.instance_profile},
                     // It powers itself off when it is done, and its volume is what the image is made of.
                     {"InstanceInitiatedShutdownBehavior", "stop"},
                     {"MetadataOptions.HttpEndpoint", "enabled"},
                     {"MetadataOptions.HttpTokens", "required"},
                     {"MetadataOptions.HttpPutResponseHopLimit", "1"},
                     {"BlockDeviceMapping.1.DeviceName", kRootDevice},
                     {"BlockDeviceMapping.1.Ebs.Encrypted", "true"},
                     {"BlockDeviceMapping.1.Ebs.VolumeType", "gp3"},
                     {"BlockDeviceMapping.1.Ebs.VolumeSize", kVolumeGib},
                     {"BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"},
                     {"UserData", base64_encode(request.user_data)}};
  if (!request.subnet.empty()) form.emplace_back("SubnetId", request.subnet);
  append_list(form, "SecurityGroupId", request.security_groups);
  auto tags = tags_of(request.recipe);
  append_tags(form, 2, "volume", tags);
  tags["Name"] = fleet_ + " image builder";
  tags[std::string(kHolderTag)] = request.holder;
  append_tags(form, 1, "instance", tags);
  const auto launched = Ec2Api(session_, kCallDeadline).run(form, limits);
  if (!launched) return fail(launched.error().error);
  return launched->front().id;
}

Result<std::string> Ec2Images::console(const InstanceId& id, const CallLimits& limits) {
  auto got = Ec2Api(session_, kCallDeadline).console(id, limits);
  if (!got) return fail(got.error());
  return std::move(got->text);
}

Result<void> Ec2Images::terminate(std::span<const InstanceId> ids, const CallLimits& limits) {
  const auto ended = Ec2Api(session_, kCallDeadline).terminate(ids, limits);
  if (!ended && ended.error().aws_code != "InvalidInstanceID.NotFound") return fail(ended.error().error);
  return {};
}

Result<void> Ec2Images::create_image(const ImageRequest& request, const CallLimits& limits) {
  QueryPairs form = {
      {"InstanceId", request.builder.str()}, {"Name", request.name}, {"Description", request.description}};
  const auto tags = tags_of(request.recipe);
  append_tags(form, 1, "image", tags);
  append_tags(form, 2, "snapshot", tags);
  const auto got = session_.query({"ec2", "CreateImage"}, form, limits.deadline, limits.stop);
  if (got) return {};
  Error error = got.error().error;
  if (got.error().aws_code == "InvalidAMIName.Duplicate") error = {ErrorKind::invalid, "image_exists", error.message};
  return fail(std::move(error));
}

Result<void> Ec2Images::deregister(const std::string& image, const CallLimits& limits) {
  return remove(session_, "DeregisterImage", {{"ImageId", image}}, "InvalidAMIID", limits);
}

Result<std::vector<std::string>> Ec2Images::snapshots(const CallLimits& limits) {
  std::vector<std::string> out;
  const auto read = read_pages(
      session_, "DescribeSnapshots", own(fleet_), "snapshotSet",
      [&](const XmlElement& item) { out.push_back(item.value("snapshotId")); }, limits);
  if (!read) return fail(read.error());
  return out;
}

Result<void> Ec2Images::delete_snapshot(const std::string& snapshot, const CallLimits& limits) {
  return remove(session_, "DeleteSnapshot", {{"SnapshotId", snapshot}}, "InvalidSnapshot", limits);
}

}  // namespace imgrec::aws
