// imgrec undeploy
#include <cstdio>
#include <optional>

#include "aws/adapters/asg_api.hpp"
#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_launch.hpp"
#include "aws/adapters/s3_empty.hpp"
#include "aws/deploy/cloud_formation.hpp"
#include "aws/deploy/end_machines.hpp"
#include "aws/deploy/template_policies.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/deploying.hpp"
#include "cmd/commands/prebaking.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/text.hpp"
#include "lib/job/leader_lease.hpp"

namespace imgrec {
namespace {

constexpr Millis kUndeployCallDeadline{60'000};

class Undeployment {
 public:
  Undeployment(const Invocation& call, aws::Session& session, AwsBuckets buckets, std::stop_token stop)
      : config_(call.config()),
        stack_(stack_of(call)),
        deletes_data_(call.has("--delete-data")),
        session_(session),
        buckets_(std::move(buckets)),
        stop_(std::move(stop)),
        talk_(deploy_talk(call.has("--yes"), stop_)),
        images_(open_images(config_, session_)) {}

  Result<int> run() {
    aws::CloudFormation service(session_);
    const auto stack = service.describe(stack_, limits());
    if (!stack) return fail(stack.error());
    const auto machines = list_machines(limits());
    if (!machines) return fail(machines.error());
    const auto images = images_->images(limits());
    if (!images) return fail(images.error());
    if (!*stack && machines->empty() && images->empty() && !deletes_data_) {
      std::printf("There is no stack %s in region %s, and no machine of the fleet %s.\n", printable(stack_).c_str(),
                  session_.region().c_str(), printable(config_.aws.fleet).c_str());
      return kExitOk;
    }
    const auto web = has_web_group();
    if (!web) return fail(web.error());
    if (!*web) {  // it would end with the controller in it
      if (auto told = tell_controller(); !told) return fail(told.error());
    }
    const auto consent = talk_.confirm(question(stack->has_value(), *web, machines->size(), images->size()));
    if (!consent) return fail(consent.error());
    if (!*consent) {
      std::printf("Nothing was changed.\n");
      return kExitItemFailed;
    }
    if (*web) {
      if (auto ended = end_web(); !ended) return fail(ended.error());
    }
    if (auto ended = end_fleet(); !ended) return fail(ended.error());
    if (auto removed = aws::prune_images(*images_, "", 0, talk_.say, limits()); !removed) return fail(removed.error());
    const auto end = aws::delete_whole_stack(service, stack_, {}, talk_, system_clock(), stop_);
    if (!end) return fail(end.error());
    if (*end == aws::DeployEnd::failed) return kExitItemFailed;
    if (deletes_data_) return delete_buckets();
    std::printf(
        "The stack %s is gone. Its buckets stay with what is in them: `imgrec deploy` takes them over again, "
        "and `imgrec undeploy --delete-data` deletes them.\n",
        printable(stack_).c_str());
    return kExitOk;
  }

 private:
  CallLimits limits() const { return {Deadline::in(system_clock(), kUndeployCallDeadline), stop_}; }

  std::string bucket_names() const {
    return buckets_.input + (buckets_.output == buckets_.input ? "" : " and " + buckets_.output);
  }

  std::string question(bool has_stack, bool has_web, std::size_t machines, std::size_t images) const {
    std::string out;
    if (has_web) out += "End the web instance. ";
    if (machines > 0) out += "End " + std::to_string(machines) + " of the fleet's machines. ";
    if (images > 0) out += "Remove " + std::to_string(images) + " of its machine images. ";
    if (has_stack) out += "Delete the stack " + stack_ + " with its queues, and what waits in them. ";
    if (deletes_data_) out += "Delete " + bucket_names() + " with every image, result and key in them. ";
    return out + "Go on?";
  }

  // A controller launches anew what is ended here.
  Result<void> tell_controller() {
    if (buckets_.output.empty()) return {};
    auto store = aws::open_s3_store(session_, {.bucket = buckets_.output, .setup = aws::BucketSetup::use});
    if (!store) return fail(store.error());
    const auto object =
        (*store)->get(ObjectKey(config_.aws.output_prefix + leader_lease_key().str()), kLeaderLeaseBytesMax, limits());
    if (!object && object.error().kind == ErrorKind::not_found) return {};
    if (!object) return fail(object.error());
    const auto lease = parse_leader_lease(object->bytes);
    if (!lease) talk_.say(lease.error().message);
    if (!lease || lease->released || system_clock().wall_now() - lease->at > lease->length) return {};
    talk_.say("A controller is running (" + lease->holder +
              "): stop it first, or it launches machines anew while they are ended here.");
    return {};
  }

  std::string web_group() const { return aws::stack_name_of(config_, "web"); }

  Result<bool> has_web_group() {
    const auto found = aws::AsgApi(session_, kUndeployCallDeadline).describe(web_group(), limits());
    if (!found && found.error().kind == ErrorKind::not_found) return false;
    if (!found) return fail(found.error());
    return true;
  }

  // Before the workers, as its controller would launch them anew. Its group would replace it: that is emptied.
  Result<void> end_web() {
    talk_.say("The web instance ends first, and the controller in it.");
    const auto end = [this](std::span<const InstanceId>, const CallLimits& within) {
      return aws::AsgApi(session_, kUndeployCallDeadline).set_size(web_group(), {}, within);
    };
    if (auto emptied = end({}, limits()); !emptied) return emptied;
    const auto list = [this](const CallLimits& within) {
      return list_tagged(aws::live_filters(aws::kWebTag, config_.aws.fleet), within);
    };
    return aws::end_machines({.list = list, .end = end}, {}, talk_.say, system_clock(), stop_);
  }

  Result<std::vector<InstanceId>> list_machines(const CallLimits& within) {
    auto out = list_tagged(aws::fleet_filters(config_.aws.fleet), within);
    if (!out) return out;
    const auto builders = images_->builders(within);
    if (!builders) return fail(builders.error());
    for (const aws::Builder& one : *builders) {
      if (one.state != "terminated") out->push_back(one.id);
    }
    return out;
  }

  Result<std::vector<InstanceId>> list_tagged(const std::vector<aws::Ec2Filter>& filters, const CallLimits& within) {
    aws::Ec2Api ec2(session_, kUndeployCallDeadline);
    const auto found = ec2.describe(filters, within);
    if (!found) return fail(found.error());
    std::vector<InstanceId> out;
    for (const aws::Ec2Instance& one : *found) out.push_back(one.id);
    return out;
  }

  Result<void> end_fleet() {
    if (config_.aws.fleet_kind == "asg") {  // it would replace what ends
      aws::AsgApi groups(session_, kUndeployCallDeadline);
      const auto there = groups.describe(config_.aws.auto_scaling_group, limits());
      if (!there && there.error().kind != ErrorKind::not_found) return fail(there.error());
      if (there && config_.deploy.alarms) {  // which would launch anew
        if (auto set = groups.set_size(config_.aws.auto_scaling_group, {}, limits()); !set) return set;
      } else if (there) {
        if (auto set = groups.set_desired(config_.aws.auto_scaling_group, 0, limits()); !set) return set;
      }
    }
    const auto end = [this](std::span<const InstanceId> ids, const CallLimits& within) -> Result<void> {
      const auto ended = aws::Ec2Api(session_, kUndeployCallDeadline).terminate(ids, within);
      if (!ended && ended.error().aws_code != "InvalidInstanceID.NotFound") return fail(ended.error().error);
      return {};
    };
    return aws::end_machines({.list = [this](const CallLimits& within) { return list_machines(within); }, .end = end},
                             {}, talk_.say, system_clock(), stop_);
  }

  Result<int> delete_buckets() {
    std::vector<std::string> names = {buckets_.input};
    if (buckets_.output != buckets_.input) names.push_back(buckets_.output);
    for (const std::string& name : names) {
      const auto removed = aws::empty_s3_bucket(
          session_, name,
          [&](std::uint64_t count) { talk_.say(name + ": " + std::to_string(count) + " objects deleted"); },
          {Deadline::never(), stop_});
      if (!removed) return fail(removed.error());
      if (auto gone = aws::delete_s3_bucket(session_, name); !gone) return fail(gone.error());
      talk_.say("The bucket " + name + " is gone.");
    }
    return kExitOk;
  }

  const Config& config_;
  const std::string stack_;
  const bool deletes_data_;
  aws::Session& session_;
  const AwsBuckets buckets_;
  const std::stop_token stop_;
  const aws::DeployTalk talk_;
  const std::unique_ptr<aws::ImageService> images_;
};

int run_undeploy(const Invocation& call) {
  const auto buckets = aws_buckets(call.config().aws);
  if (!buckets) return report(buckets.error());
  if (call.has("--delete-data") && (buckets->bundle == buckets->input || buckets->bundle == buckets->output)) {
    return report(
        {ErrorKind::invalid, "bundle_in_data",
         "The bundle is in a bucket with data (" + json_quote(buckets->bundle) +
             "), so no stack of imgrec's made it: --delete-data leaves such a bucket alone. Empty it by hand."});
  }
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  Interrupts interrupts;
  const auto code = Undeployment(call, **session, *buckets, interrupts.token()).run();
  return code ? *code : report(code.error());
}

}  // namespace

Command undeploy_command() {
  return {
      .name = "undeploy",
      .summary = "End the service's machines and delete its CloudFormation stack; asks first",
      .settings = kConfigCommand,
      .examples = {{"imgrec undeploy --config aws.toml", "all but the buckets with images and results"},
                   {"imgrec undeploy --config aws.toml --delete-data", "those too"}},
      .options = {{"--stack", "NAME", "the stack's name (as aws.fleet: imgrec)"},
                  {"--yes", "", "do not ask"},
                  {"--delete-data", "", "also empty and delete the buckets of images and results"}},
      .notes =
          "Stop an imgrec web and imgrec controller outside the stack first. Machine images go too. The bundle's\n"
          "bucket stays. Interrupted at any point, run it again: it goes on. It exits with 1 when the stack cannot\n"
          "be deleted, or when the answer is no.",
      .run = run_undeploy};
}

}  // namespace imgrec
