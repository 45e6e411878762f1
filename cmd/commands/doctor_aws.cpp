// What the roles need of an AWS account: who we are, then queues and buckets. Instances are in doctor_ec2.
#include <algorithm>
#include <cmath>

#include "aws/deploy/cloud_formation.hpp"
#include "aws/inspect/account.hpp"
#include "aws/inspect/conditional_puts.hpp"
#include "aws/inspect/encryption.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/bundle_contents.hpp"
#include "cmd/commands/doctor.hpp"
#include "cmd/commands/doctor_ec2.hpp"
#include "cmd/commands/rights.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/digest.hpp"
#include "lib/job/leader_lease.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {
namespace {

constexpr Millis kAwsCheckDeadline{20'000};
constexpr Millis kRightsDeadline{60'000};
constexpr Millis kProbeTimeout{5'000};
constexpr Millis kSkewWarning{30'000};
constexpr Millis kSkewMax{300'000};  // AWS refuses signatures that are further off
constexpr std::string_view kProbe = "written by imgrec doctor";

class AwsDoctor {
 public:
  AwsDoctor(const LoadedConfig& loaded, const DoctorScope& scope, Clock& clock, Rng& rng)
      : loaded_(loaded), config_(loaded.config), scope_(scope), clock_(clock), rng_(rng) {}

  std::vector<Check> run() {
    if (!check_session() || !check_identity()) return std::move(checks_);
    if (scope_.deploys) {
      check_deployer();
      return std::move(checks_);
    }
    check_endpoints();
    check_queues();
    if (scope_.sends || scope_.works) check_buckets();
    if (scope_.launches) {
      check_bundle();
      check_leader();
      check_ec2(config_, *session_, checks_);
    }
    if (scope_.serves) checks_.push_back(check_port(config_));
    return std::move(checks_);
  }

 private:
  bool check_session() {
    auto session = open_aws_session(config_, clock_, rng_);
    if (!session) {
      checks_.push_back(call_failed("settings", session.error(), "See aws.region and the AWS_… variables."));
      return false;
    }
    session_ = std::move(*session);
    checks_.push_back(check_region());
    return true;
  }

  Check check_region() const {
    if (!config_.aws.region.empty()) {
      return passed("region", session_->region() + " (" + loaded_.origin("aws.region") + ")");
    }
    if (const auto source = region_source(config_)) return passed("region", session_->region() + " (" + *source + ")");
    return {.name = "region",
            .status = CheckStatus::warning,
            .detail = session_->region() + ", the default: neither the settings nor the environment name one",
            .fix = "Set aws.region (or AWS_REGION) to the region of your queues, buckets and instances."};
  }

  bool check_identity() {
    const auto credentials = session_->credentials().get({});
    if (!credentials) {
      checks_.push_back(
          call_failed("credentials", credentials.error(),
                      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the instance an "
                      "instance profile."));
      return false;
    }
    checks_.push_back(passed("credentials", "from " + credentials->source));
    const auto identity = aws::caller_identity(*session_, Deadline::in(clock_, kAwsCheckDeadline));
    if (!identity) {
      checks_.push_back(
          call_failed("identity", identity.error(), "These credentials are none of AWS's, or ended: renew them."));
      return false;
    }
    checks_.push_back(passed("identity", identity->arn));
    caller_ = identity->arn;
    check_clock(identity->clock_skew);
    return true;
  }

  void check_clock(Millis skew) {
    const double seconds = std::abs(std::chrono::duration<double>(skew).count());
    char text[64];
    std::snprintf(text, sizeof text, "%.1f s %s AWS's", seconds, skew > Millis(0) ? "behind" : "ahead of");
    Check check = passed("clock", text);
    if (std::chrono::abs(skew) >= kSkewWarning) {
      check.status = std::chrono::abs(skew) >= kSkewMax ? CheckStatus::failed : CheckStatus::warning;
      check.fix = "Let the clock be set from the network: `timedatectl set-ntp true`.";
    }
    checks_.push_back(check);
  }

  void check_endpoints() {
    std::vector<std::string> services = {"sqs"};
    if (scope_.sends || scope_.works || scope_.launches) services.emplace_back("s3");
    if (scope_.launches) services.emplace_back("ec2");
    for (const std::string& service : services) {
      const auto answer = aws::reach_service(*session_, service, kProbeTimeout);
      checks_.push_back(
          answer ? passed("endpoint " + service,
                          answer->url + " answers in " + std::to_string(answer->took.count()) + " ms")
                 : call_failed("endpoint " + service, answer.error(), "Is the address right? See aws.endpoint_url."));
    }
  }

  void check_queues() {
    Config asked = config_;
    asked.aws.queues = "check";
    const auto checked = aws::open_sqs_queues(*session_, sqs_rules(asked));
    asked.aws.queues = "use";
    const auto named = aws::open_sqs_queues(*session_, sqs_rules(asked));
    for (const QueueRow& row : queue_roster(config_)) {
      const bool is_own = row.owner == QueueOwner::this_node;
      const unsigned uses = uses_asked(row.uses);
      if (uses == 0 || (is_own && !scope_.serves)) continue;
      // A web node makes its own queue at its start.
      check_queue(is_own || (uses & kWatches) == 0 ? *named : *checked, row, (uses & kWatches) != 0);
    }
  }

  // What the roles that are asked about do with a queue.
  unsigned uses_asked(const QueueUses& uses) const {
    return (scope_.sends ? uses.web : 0U) | (scope_.works ? uses.worker : 0U) |
           (scope_.launches ? uses.controller : 0U);
  }

  // A worker knows its queues by name alone: watches is false.
  void check_queue(QueueDirectory& queues, const QueueRow& row, bool watches) {
    const std::string title = "queue " + row.name;
    const auto queue = queues.open(row.name);
    if (queue && !watches) return checks_.push_back(passed(title, "there"));
    const auto depth = queue ? (*queue)->depth() : fail(queue.error());
    if (!depth) {
      if (depth.error().kind == ErrorKind::not_found && row.owner == QueueOwner::this_node) {
        return checks_.push_back(passed(title, "not there yet: `imgrec web` makes it"));
      }
      std::string fix =
          "Compare the queue with what its settings say; a queue without messages can be deleted and made anew.";
      if (depth.error().kind == ErrorKind::not_found) fix = "`imgrec setup` makes it.";
      if (depth.error().kind == ErrorKind::denied) fix = rights("sqs:GetQueueUrl and sqs:GetQueueAttributes");
      return checks_.push_back(call_failed(title, depth.error(), fix));
    }
    Check check =
        passed(title, std::to_string(depth->visible) + " waiting, " + std::to_string(depth->in_flight) + " in work");
    if (row.kind == QueueKind::dead_letters && depth->visible > 0) {
      check.status = CheckStatus::warning;
      check.fix = "These could not be processed. Look at them, then redrive or purge the queue.";
    }
    checks_.push_back(check);
  }

  // What has to be there before the stack is: rights and the bundle.
  void check_deployer() {
    checks_.push_back(
        rights_check("rights", deployer_rights(*session_, config_, caller_, Deadline::in(clock_, kRightsDeadline))));
    const Check& rights = checks_.back();
    if (rights.status == CheckStatus::skipped) check_stack_reads();
    check_stack_maker();
    check_bundle();
  }

  static Check rights_check(std::string name, const RightsAnswer& answer) {
    Check check = passed(std::move(name), describe(answer));
    if (!answer.unknown.empty()) {
      check.status = CheckStatus::skipped;
      check.fix = "To have it asked, the caller needs iam:SimulatePrincipalPolicy (configs/iam/deployer.json).";
    } else if (!answer.missing.empty()) {
      check.status = CheckStatus::failed;
      check.fix = advice(answer);
    }
    return check;
  }

  // Where IAM is not to be asked: what can be tried without changing anything. A stack that is not there is no failure.
  void check_stack_reads() {
    aws::CloudFormation service(*session_);
    const aws::Stack stack{.id = config_.aws.fleet, .status = {}, .reason = {}, .outputs = {}};
    const CallLimits limits = Deadline::in(clock_, kAwsCheckDeadline);
    std::string denied;
    const auto note = [&](const char* action, const auto& result) {
      if (!result && result.error().kind == ErrorKind::denied)
        denied += (denied.empty() ? "" : ", ") + std::string(action);
    };
    note("cloudformation:DescribeStacks", service.describe(stack.id, limits));
    note("cloudformation:DescribeStackResources", service.resources(stack, limits));
    note("cloudformation:DescribeStackEvents", service.latest_events(stack, limits));
    note("cloudformation:ListChangeSets", service.change_sets(stack, limits));
    if (denied.empty()) return checks_.push_back(passed("stack", "it may be looked at; changing it was not tried"));
    checks_.push_back(failed("stack", {ErrorKind::denied, "denied", "Not allowed: " + denied + "."},
                             "Attach configs/iam/deployer.json to the identity above."));
  }

  // Without a role, CloudFormation acts as the caller; a role is named with each deployment, so nobody knows it here.
  void check_stack_maker() {
    const CallLimits limits = Deadline::in(clock_, kRightsDeadline);
    Check check = rights_check("rights of CloudFormation", stack_rights(*session_, config_, caller_, "", limits));
    if (check.status == CheckStatus::failed) check.status = CheckStatus::warning;
    checks_.push_back(std::move(check));
  }

  // Whether it can be written shows when a controller starts.
  void check_leader() {
    const std::string name = "leading controller";
    const auto buckets = aws_buckets(config_.aws);
    if (!buckets || config_.controller.lease <= Millis(0)) return;
    const std::string fix =
        "Give the rights of configs/iam: s3:GetObject, and for controllers s3:PutObject, on status/leader.";
    auto store = aws::open_s3_store(*session_, {.bucket = buckets->output, .setup = aws::BucketSetup::use});
    if (!store) return checks_.push_back(call_failed(name, store.error(), fix));
    const ObjectKey key(config_.aws.output_prefix + leader_lease_key().str());
    const auto object = (*store)->get(key, kLeaderLeaseBytesMax, Deadline::in(clock_, kAwsCheckDeadline));
    if (!object && object.error().kind == ErrorKind::not_found) {
      return checks_.push_back(passed(name, "none has ever led"));
    }
    if (!object) return checks_.push_back(call_failed(name, object.error(), fix));
    const auto lease = parse_leader_lease(object->bytes);
    if (!lease) return checks_.push_back(call_failed(name, lease.error(), "Delete the object, where none leads."));
    const std::string when = to_rfc3339(lease->at);
    if (lease->released) return checks_.push_back(passed(name, "none; the last one ended at " + when));
    if (clock_.wall_now() - lease->at > lease->length) {
      return checks_.push_back({.name = name,
                                .status = CheckStatus::warning,
                                .detail = "none; " + lease->holder + " was last heard of at " + when,
                                .fix = "Start `imgrec controller`: nothing else starts and ends instances."});
    }
    if (!lease->fleet.empty() && lease->fleet != config_.aws.fleet) {
      return checks_.push_back({.name = name,
                                .status = CheckStatus::failed,
                                .detail = lease->holder + " of the fleet " + lease->fleet + ", in this result bucket",
                                .fix = "Give each service its own aws.output_bucket or aws.output_prefix."});
    }
    checks_.push_back(passed(name, lease->holder + ", its lease renewed at " + when));
  }

  void check_buckets() {
    const auto buckets = aws_buckets(config_.aws);
    if (!buckets) return checks_.push_back(call_failed("buckets", buckets.error(), "Set aws.input_bucket."));
    check_bucket(buckets->input, config_.aws.input_prefix + "inputs/imgrec-doctor",
                 scope_.sends ? Access::write : Access::read);
    check_bucket(buckets->output, config_.aws.output_prefix + "results/imgrec-doctor",
                 scope_.works ? Access::write_once : Access::read);
  }

  enum class Access { read, write, write_once };

  void check_bucket(const std::string& bucket, const std::string& key, Access access) {
    const bool writes = access != Access::read;
    const std::string title = "bucket " + bucket;
    const auto fix = [&](const Error& error) {
      if (error.kind == ErrorKind::not_found) return std::string("`imgrec setup` makes it.");
      return error.kind == ErrorKind::denied
                 ? rights("s3:ListBucket, s3:GetObject and what the role writes" +
                          std::string(config_.aws.s3_kms_key.empty() ? "" : "; kms:GenerateDataKey and kms:Decrypt"))
                 : std::string("Correct aws.input_bucket, aws.output_bucket or aws.region.");
    };
    aws::S3StoreOptions options = store_options(config_.aws);
    options.bucket = bucket;
    options.setup = aws::BucketSetup::check;
    options.call_deadline = kAwsCheckDeadline;
    auto store = aws::open_s3_store(*session_, options);
    if (!store) return checks_.push_back(call_failed(title, store.error(), fix(store.error())));
    const ObjectKey probe(key);
    if (writes) {
      if (const auto put = (*store)->put(probe, kProbe, {}); !put) {
        return checks_.push_back(call_failed(title, put.error(), fix(put.error())));
      }
    }
    const auto got = (*store)->get(probe, kProbe.size());
    const bool is_right = got ? got->bytes == kProbe : !writes && got.error().kind == ErrorKind::not_found;
    if (!is_right) {
      const Error error =
          got ? Error{ErrorKind::transient, "another", "It answers another object than was stored."} : got.error();
      return checks_.push_back(call_failed(title, error, fix(error)));
    }
    if (!writes) return checks_.push_back(passed(title, "there, and can be read"));
    const auto encryption = encryption_found(bucket, probe);
    Result<aws::ConditionalPuts> conditions;
    if (access == Access::write_once) {
      conditions = aws::probe_conditional_puts(
          *session_, {bucket, probe, std::string(kProbe), aws::s3_encryption_headers(config_.aws.s3_kms_key)},
          Deadline::in(clock_, kAwsCheckDeadline));
    }
    const bool removed = (*store)->remove({&probe, 1}).has_value();
    if (!encryption) {
      return checks_.push_back(
          call_failed(title, encryption.error(), "See aws.s3_kms_key, and whether the service knows SSE-KMS."));
    }
    if (!conditions) return checks_.push_back(call_failed(title, conditions.error(), fix(conditions.error())));
    checks_.push_back(
        with_conditions(passed(title, std::string("there; written and read") + *encryption +
                                          (removed ? "" : " (" + key + " stays: it may not be deleted, nor need be)")),
                        *conditions));
  }

  // ", encrypted with ARN" where aws.s3_kms_key is set, else nothing. Only KMS knows whether that is the key meant.
  Result<std::string> encryption_found(const std::string& bucket, const ObjectKey& probe) {
    if (config_.aws.s3_kms_key.empty()) return std::string();
    const auto found = aws::encryption_of(*session_, bucket, probe, Deadline::in(clock_, kAwsCheckDeadline));
    if (!found) return fail(found.error());
    if (found->algorithm != "aws:kms") {
      return fail(ErrorKind::invalid, "not_encrypted",
                  "It stores objects without the key that aws.s3_kms_key names, and does not say so.");
    }
    return ", encrypted with " + found->kms_key;
  }

  // Results are written once by the conditions of their puts.
  static Check with_conditions(Check check, const aws::ConditionalPuts& found) {
    using Kind = aws::ConditionalPuts::Kind;
    if (found.kind == Kind::obeyed) return check;
    check.status = CheckStatus::warning;
    check.detail +=
        std::string("; it ") + (found.kind == Kind::ignored ? "ignores " : "refuses ") + found.header + " on PUT";
    check.fix =
        "It works without: each object is looked at before it is put. But of two workers that classify an image at the "
        "same moment the later one's result stays, and its answer may be another. Use a store that obeys "
        "If-None-Match and If-Match on PUT, as S3 does.";
    return check;
  }

  void check_bundle() {
    if (config_.aws.bundle_key.empty()) {
      return checks_.push_back(
          {.name = "bundle",
           .status = CheckStatus::warning,
           .detail = "aws.bundle_key is not set: the image or the launch template has to start workers",
           .fix = "`./dev bundle`, then `imgrec bundle upload` prints the settings."});
    }
    const auto buckets = aws_buckets(config_.aws);
    if (!buckets)
      return checks_.push_back(call_failed("bundle", buckets.error(), "Set aws.bundle_bucket or aws.input_bucket."));
    const std::string fix = "`imgrec bundle upload` puts it there and prints the settings.";
    auto store = aws::open_s3_store(*session_, {.bucket = buckets->bundle, .setup = aws::BucketSetup::use});
    const auto bundle = store ? (*store)->get(ObjectKey(config_.aws.bundle_key), kBundleBytesMax) : fail(store.error());
    if (!bundle && bundle.error().kind == ErrorKind::denied) {
      return checks_.push_back({.name = "bundle",
                                .status = CheckStatus::skipped,
                                .detail = bundle.error().message,
                                .fix = "Who is asked here may not read it; the role of the instances has to."});
    }
    if (!bundle) return checks_.push_back(call_failed("bundle", bundle.error(), fix));
    const std::string& bytes = bundle->bytes;
    if (const std::string found = sha256_hex(bytes); found != config_.aws.bundle_sha256) {
      return checks_.push_back(call_failed("bundle",
                                           {ErrorKind::invalid, "another_bundle",
                                            config_.aws.bundle_key + " has the SHA-256 " + found +
                                                ", not that of aws.bundle_sha256: instances would refuse it."},
                                           fix));
    }
    const auto contents = bundle_contents(bytes);
    if (!contents) return checks_.push_back(call_failed("bundle", contents.error(), fix));
    if (std::ranges::find(contents->models, config_.model.name) == contents->models.end()) {
      return checks_.push_back(call_failed(
          "bundle",
          {ErrorKind::invalid, "another_model",
           config_.aws.bundle_key + " does not hold the model " + config_.model.name +
               " but: " + joined(contents->models) + ". Workers would not start."},
          "`./dev bundle " + config_.model.name + "` and `imgrec bundle upload`, or set model.name to one of those."));
    }
    checks_.push_back(passed("bundle", config_.aws.bundle_key + ", " +
                                           readable_bytes(static_cast<double>(bytes.size())) +
                                           ", its SHA-256 is right; with the model " + config_.model.name));
  }

  static std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
    return out.empty() ? "none" : out;
  }

  static std::string rights(const std::string& actions) {
    return "Give the identity above the rights of its role in configs/iam (" + actions + ").";
  }

  const LoadedConfig& loaded_;
  const Config& config_;
  const DoctorScope scope_;
  Clock& clock_;
  Rng& rng_;
  std::unique_ptr<aws::Session> session_;
  std::string caller_;  // ARN of the identity
  std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> check_aws(const LoadedConfig& loaded, const DoctorScope& scope) {
  return AwsDoctor(loaded, scope, system_clock(), system_rng()).run();
}

}  // namespace imgrec
