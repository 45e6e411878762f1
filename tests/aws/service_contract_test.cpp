// The AWS adapters keep the contracts of their ports, against whatever answers at AWS_ENDPOINT_URL (moto_test.py starts
// it), or against AWS itself with IMGREC_AWS_TEST=1 and credentials. Everything made begins with "imgrec-test-", and is
// deleted at the end of its test.
#include <map>

#include "aws/adapters/asg_fleet.hpp"
#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_fleet.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "lib/base/environment.hpp"
#include "tests/aws/session_of_environment.hpp"
#include "tests/contract/fleet_contract.hpp"
#include "tests/contract/queue_contract.hpp"
#include "tests/contract/store_contract.hpp"

namespace imgrec::test::service_contract_test {
namespace {

bool is_real() {
  return environment_variable("IMGREC_AWS_TEST").value_or("") == "1";
}

aws::Session& session() {
  static const std::unique_ptr<aws::Session> shared = aws::test::session_of_environment();
  return *shared;
}

std::string unique_name() {
  return "imgrec-test-" + random_hex(system_rng(), 6);
}

class SqsWorld final : public QueueWorld {
 public:
  ~SqsWorld() override {
    for (const auto& [name, options] : made_) (void)aws::delete_sqs_queue(session(), name, options);
  }
  QueuePair make(const QueueSetup& setup) override {
    const std::string name = unique_name(), dead = name + "-dead";
    aws::SqsQueueOptions options{.fifo = setup.fifo, .dead_letter = {}, .setup = aws::QueueSetup::create};
    made_[dead] = options;
    options.receives_max = setup.receives_max;
    if (setup.receives_max > 0) options.dead_letter = dead;
    made_[name] = options;
    directory_ = aws::open_sqs_queues(
        session(), {.options_of = [all = made_](const std::string& which) { return std::optional(all.at(which)); },
                    .settle = is_real() ? Millis(1'000) : Millis(0)});
    QueuePair pair{directory_->open(name).value(), nullptr};
    if (setup.receives_max > 0) {
      pair.dead_letter = directory_->open(dead).value();
    } else {
      made_.erase(dead);
    }
    return pair;
  }
  Clock& clock() override { return system_clock(); }
  // Another machine's clock: what has to be over is over a little later.
  void advance(Millis duration) override { system_clock().sleep_for(duration + Millis(50), {}); }
  void advance_during_poll(Millis duration) override { advance(duration); }

 private:
  std::map<std::string, aws::SqsQueueOptions> made_;
  std::unique_ptr<QueueDirectory> directory_;
};

class S3World final : public StoreWorld {
 public:
  S3World() : store_(aws::open_s3_store(session(), {.bucket = bucket_, .setup = aws::BucketSetup::create}).value()) {}
  ~S3World() override {
    while (true) {
      const auto page = store_->list("", "", 1000);
      if (!page || page->objects.empty()) break;
      std::vector<ObjectKey> keys;
      for (const ObjectInfo& object : page->objects) keys.push_back(object.key);
      if (!store_->remove(keys)) break;
    }
    EXPECT_TRUE(aws::delete_s3_bucket(session(), bucket_));
  }
  ObjectStore& store() override { return *store_; }

 private:
  const std::string bucket_ = unique_name();
  const std::unique_ptr<ObjectStore> store_;
};

class Ec2World final : public FleetWorld {
 public:
  ~Ec2World() override {
    std::vector<InstanceId> ids;
    if (const auto instances = fleet_->describe()) {
      for (const Instance& instance : *instances) ids.push_back(instance.id);
    }
    EXPECT_TRUE(fleet_->terminate(ids));
  }
  Fleet& fleet() override { return *fleet_; }
  void pause() override { system_clock().sleep_for(is_real() ? Millis(2'000) : Millis(20), {}); }
  void crash(const InstanceId& id) override {
    EXPECT_TRUE(aws::Ec2Api(session(), Millis(30'000)).terminate({&id, 1}, {}));
  }

 private:
  static aws::Ec2FleetOptions options() {
    aws::Ec2FleetOptions out;
    out.name = unique_name();
    out.image_id = environment_variable("IMGREC_AWS_TEST_IMAGE").value_or("ami-12c6146b");
    out.instance_types = {"t3.micro"};
    out.user_data = "#!/bin/sh\n";
    out.instances_max = kFleetMax;
    return out;
  }
  const std::unique_ptr<Fleet> fleet_ = aws::make_ec2_fleet(session(), options()).value();
};

class AsgWorld final : public FleetWorld {
 public:
  AsgWorld() {
    const std::string image = environment_variable("IMGREC_AWS_TEST_IMAGE").value_or("ami-12c6146b");
    call("ec2", "CreateLaunchTemplate",
         {{"LaunchTemplateName", name_},
          {"LaunchTemplateData.ImageId", image},
          {"LaunchTemplateData.InstanceType", "t3.micro"}});
    call("autoscaling", "CreateAutoScalingGroup",
         {{"AutoScalingGroupName", name_},
          {"MinSize", "0"},
          {"MaxSize", "10"},
          {"AvailabilityZones.member.1", session().region() + "a"},
          {"NewInstancesProtectedFromScaleIn", "true"},
          {"LaunchTemplate.LaunchTemplateName", name_},
          {"LaunchTemplate.Version", "$Latest"}});
    fleet_ = aws::make_asg_fleet(session(), {.group = name_, .instances_max = kFleetMax}).value();
  }
  ~AsgWorld() override {
    call("autoscaling", "DeleteAutoScalingGroup", {{"AutoScalingGroupName", name_}, {"ForceDelete", "true"}});
    call("ec2", "DeleteLaunchTemplate", {{"LaunchTemplateName", name_}});
  }
  Fleet& fleet() override { return *fleet_; }
  void pause() override { system_clock().sleep_for(is_real() ? Millis(2'000) : Millis(20), {}); }
  void crash(const InstanceId& /*id*/) override { FAIL() << "a group replaces it"; }

 private:
  static void call(const char* service, const char* operation, const aws::QueryPairs& parameters) {
    const auto done = session().query({service, operation}, parameters, Deadline::in(system_clock(), Seconds(30)), {});
    if (!done) ADD_FAILURE() << operation << ": " << describe(done.error().error);
  }
  const std::string name_ = unique_name();
  std::unique_ptr<Fleet> fleet_;
};

// QueueContract's test also wants the age of the oldest message, which SQS does not tell.
TEST(SqsDepth, CountsWhatIsThere) {
  if (is_real()) GTEST_SKIP() << "AWS approximates, for a minute or more";
  SqsWorld world;
  const auto queue = world.make({}).queue;
  std::vector<OutgoingMessage> messages(4, {.body = "x", .group_id = {}, .dedup_id = {}});
  messages[3].delay = Seconds(600);
  ASSERT_TRUE(queue->send(messages, Deadline::in(system_clock(), Seconds(30))));
  ASSERT_EQ(queue->receive({.messages_max = 1}, {}).value().size(), 1U);
  const auto depth = queue->depth();
  ASSERT_TRUE(depth) << describe(depth.error());
  EXPECT_EQ(depth->visible, 2U);
  EXPECT_EQ(depth->in_flight, 1U);
  EXPECT_EQ(depth->delayed, 1U);
}

const auto kQueues = testing::Values(QueueHarness{.name = "sqs",
                                                  .make_world = [] { return std::make_unique<SqsWorld>(); },
                                                  .tells_stale_receipts = false,
                                                  .exact_depth = false,
                                                  .fake_time = false,
                                                  .receive_wait = is_real() ? Millis(2'000) : Millis(0)});
INSTANTIATE_TEST_SUITE_P(Aws, QueueContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Aws, FifoContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Aws, StoreContract,
                         testing::Values(StoreHarness{"s3", [] { return std::make_unique<S3World>(); }}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Aws, FleetContract,
                         testing::Values(FleetHarness{"ec2", [] { return std::make_unique<Ec2World>(); }},
                                         FleetHarness{.name = "asg",
                                                      .make_world = [] { return std::make_unique<AsgWorld>(); },
                                                      .gives_numbers = false,
                                                      .replaces_crashed = true}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace imgrec::test::service_contract_test
