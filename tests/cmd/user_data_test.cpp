#include "cmd/platform/user_data.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cmd/platform/architecture.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/config/load.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::user_data_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class UserDataTest : public testing::Test {
 protected:
  UserDataTest() {
    config_.platform = "aws";
    config_.aws.input_bucket = "in-bucket";
    config_.aws.bundle_key = "bundles/imgrec.tar.gz";
    config_.aws.bundle_sha256 = std::string(64, 'a');
    endpoints_.region = "eu-central-1";
    EXPECT_TRUE(resolve(config_, {{"HOME", "/home/deployer"}}));
  }
  std::string text() const {
    const auto made = worker_user_data(config_, endpoints_);
    return made ? *made : made.error().message;
  }
  // What a worker's Config is that reads the settings.
  Config worker() const {
    const test::TempDir folder;
    std::ofstream(folder.path() / "worker.toml") << worker_settings(config_, endpoints_);
    auto loaded = load_config({.file = folder.path() / "worker.toml", .environment = {}, .flags = {}});
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? loaded->config : Config();
  }
  Config config_;
  aws::EndpointSettings endpoints_;
};

TEST_F(UserDataTest, FitsIntoAnInstancesUserData) {
  EXPECT_TRUE(text().starts_with("#cloud-config\n"));
  EXPECT_LE(text().size(), kUserDataBytesMax);
  EXPECT_THAT(text(), HasSubstr("https://in-bucket.s3.eu-central-1.amazonaws.com/bundles/imgrec.tar.gz"));
  EXPECT_THAT(text(), HasSubstr(config_.aws.bundle_sha256));
  EXPECT_THAT(text(), Not(testing::ContainsRegex("<[A-Z_]+>[^(<]"))) << "a placeholder is left";
}

TEST_F(UserDataTest, TheBundleHasToBeForTheProcessorOfTheInstances) {
  for (const char* type :
       {"t4g.small", "c7g.large", "c7gn.large", "m6gd.metal", "im4gn.large", "hpc7g.4xlarge", "a1.large"}) {
    EXPECT_EQ(architecture_of_type(type), "aarch64") << type;
  }
  for (const char* type :
       {"t3.micro", "c7i.large", "g4dn.xlarge", "g6.xlarge", "m7i-flex.large", "a10.large", "trn1.2xlarge"}) {
    EXPECT_EQ(architecture_of_type(type), "x86_64") << type;
  }
  config_.aws.instance_types = "c7g.large,t4g.small";
  EXPECT_TRUE(text().starts_with("#cloud-config\n")) << "of a bundle whose name says nothing";
  config_.aws.bundle_key = "bundles/imgrec-0.1.0-aarch64-0123456789ab.tar.gz";
  EXPECT_TRUE(text().starts_with("#cloud-config\n"));
  config_.aws.bundle_key = "bundles/imgrec-0.1.0-x86_64-0123456789ab.tar.gz";
  EXPECT_THAT(text(), HasSubstr("is for another processor than c7g.large has (aarch64)"));
  config_.aws.instance_types = "c7i.large";
  EXPECT_TRUE(text().starts_with("#cloud-config\n"));
  config_.aws.instance_types = "c7i.large,c7g.large";
  EXPECT_THAT(text(), HasSubstr("of one architecture"));
  config_.aws.instance_types = "c7i.large";
  config_.deploy.web_type = "t4g.small";
  EXPECT_THAT(text(), HasSubstr("t4g.small is not"));
}

TEST_F(UserDataTest, AWorkerGetsTheSettingsThatConcernIt) {
  config_.queue.request = "other-requests";
  config_.queue.fifo = true;
  config_.image.bytes_max = 30 * kMiB;
  config_.aws.output_bucket = "out-bucket";
  config_.aws.spot = true;
  config_.aws.subnets = "subnet-1";
  config_.web.port = 1234;
  const Config got = worker();
  EXPECT_EQ(got.platform, "aws");
  EXPECT_EQ(got.queue.request, "other-requests");
  EXPECT_TRUE(got.queue.fifo);
  EXPECT_EQ(got.image.bytes_max, 30 * kMiB);
  EXPECT_EQ(got.aws.output_bucket, "out-bucket");
  EXPECT_TRUE(got.aws.spot);
  EXPECT_EQ(got.aws.region, "eu-central-1");
  EXPECT_EQ(got.aws.subnets, "");
  EXPECT_EQ(got.web.port, WebConfig().port);
}

TEST_F(UserDataTest, NothingOfTheDeployersMachineIsInIt) {
  EXPECT_GT(config_.worker.threads, 0) << "resolved: this machine's cores";
  const Config got = worker();
  EXPECT_EQ(got.worker.threads, 0) << "the instance's cores";
  EXPECT_EQ(got.state_dir, "/var/lib/imgrec");
  EXPECT_EQ(got.model.dir, "/opt/imgrec/models");
  EXPECT_THAT(text(), Not(HasSubstr("/home/deployer")));
  config_.aws.worker_threads = 3;
  EXPECT_EQ(worker().worker.threads, 3);
  config_.model.labels = "/home/deployer/labels.txt";
  EXPECT_EQ(worker_user_data(config_, endpoints_).error().code, "labels_elsewhere");
}

TEST_F(UserDataTest, EndpointsOfTheEnvironmentAreMadeExplicit) {
  endpoints_.overrides = {
      {"sqs", "http://10.0.0.1:9324"}, {"s3", "http://10.0.0.1:9000"}, {"ec2", "http://10.0.0.1:1"}};
  EXPECT_EQ(worker().aws.sqs_endpoint_url, "http://10.0.0.1:9324");
  EXPECT_THAT(text(), HasSubstr("http://10.0.0.1:9000/in-bucket/bundles/imgrec.tar.gz"));
  EXPECT_THAT(text(), Not(HasSubstr("10.0.0.1:1\"")));
}

TEST_F(UserDataTest, TheWorkersEnvironmentNamesWhatIsNoSetting) {
  EXPECT_THAT(text(), Not(HasSubstr("Environment=")));
  EXPECT_THAT(text(), Not(HasSubstr("\"--proxy\", \"http")));
  endpoints_.fips = endpoints_.dualstack = true;
  config_.aws.worker_proxy = "http://proxy.example:3128";
  config_.aws.worker_no_proxy = ".vpce.amazonaws.com, 10.0.0.0/8";
  config_.aws.worker_ca_bundle = "/etc/ssl/own.pem";
  for (const char* line : {"AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_DUALSTACK_ENDPOINT=true",
                           "AWS_CA_BUNDLE=/etc/ssl/own.pem", "https_proxy=http://proxy.example:3128",
                           "http_proxy=http://proxy.example:3128", "no_proxy=.vpce.amazonaws.com,10.0.0.0/8"}) {
    EXPECT_THAT(text(), HasSubstr("\n   Environment=\"" + std::string(line) + "\"\n"));
  }
  EXPECT_THAT(text(), HasSubstr("https://in-bucket.s3-fips.dualstack.eu-central-1.amazonaws.com/bundles/"));
  EXPECT_THAT(text(),
              HasSubstr(R"("--proxy", "http://proxy.example:3128", "--no-proxy", ".vpce.amazonaws.com,10.0.0.0/8", )"
                        R"("--ca-bundle", "/etc/ssl/own.pem"])"));
  config_.aws.worker_proxy = "http://100%25.example";
  EXPECT_THAT(text(), HasSubstr("https_proxy=http://100%%25.example\"")) << "a percent sign means itself to systemd";
}

TEST_F(UserDataTest, AProxysPasswordIsRefusedWithoutBeingShown) {
  const auto loaded = load_config(
      {.file = {}, .environment = {{"IMGREC_AWS_WORKER_PROXY", "http://me:secret@proxy.example:3128"}}, .flags = {}});
  const auto checked = loaded ? validate(loaded->config) : Result<void>(fail(loaded.error()));
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("aws.worker_proxy has a user or a password"));
  EXPECT_THAT(checked.error().message, Not(HasSubstr("secret")));
}

TEST_F(UserDataTest, TheUnitLeavesTimeToDrain) {
  config_.worker.drain_timeout = Millis(90'500);
  EXPECT_THAT(text(), HasSubstr("\n   TimeoutStopSec=121\n"));
  EXPECT_THAT(text(), HasSubstr("\n   MemoryMax=90%\n"));
}

TEST_F(UserDataTest, PowersOffWhereConfigured) {
  EXPECT_THAT(text(), HasSubstr("\n   SuccessAction=poweroff\n   FailureAction=poweroff\n"));
  EXPECT_THAT(text(), HasSubstr("\"--poweroff\"]"));
  config_.aws.poweroff_on_exit = false;
  EXPECT_THAT(text(), Not(HasSubstr("Action=poweroff")));
  EXPECT_THAT(text(), Not(HasSubstr("\"--poweroff\"]")));
}

TEST_F(UserDataTest, WhatIsMissingOrTooMuchIsSaid) {
  config_.aws.bundle_sha256.clear();
  EXPECT_THAT(text(), HasSubstr("imgrec bundle upload"));
  config_.aws.bundle_sha256 = std::string(64, 'a');
  config_.queue.request = std::string(80, 'q');
  config_.aws.s3_endpoint_url = "ignored: the session's count";
  endpoints_.overrides = {{"s3", "http://" + std::string(6'000, 'a')}};
  EXPECT_EQ(worker_user_data(config_, endpoints_).error().code, "user_data_too_large");
  endpoints_.overrides.clear();
  config_.aws.input_bucket.clear();
  EXPECT_EQ(worker_user_data(config_, endpoints_).error().code, "no_bucket");
}

TEST_F(UserDataTest, ABuilderInstallsAndStartsNothing) {
  config_.aws.worker_proxy = "http://proxy.example:3128";
  const auto made = builder_user_data(config_, endpoints_);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_LE(made->size(), kUserDataBytesMax);
  EXPECT_THAT(*made, HasSubstr(R"(- ["/bin/sh", "/usr/local/sbin/imgrec-bake", "/usr/bin/python3", )"));
  EXPECT_THAT(*made, HasSubstr(R"("http://proxy.example:3128")"));
  EXPECT_THAT(*made, HasSubstr(R"("--bake"])"));
  EXPECT_THAT(*made, Not(HasSubstr("--poweroff\"]")));
  EXPECT_THAT(*made, Not(HasSubstr("worker.toml"))) << "settings are those of whoever starts from the image";
  EXPECT_THAT(*made, Not(testing::ContainsRegex("<[A-Z_]+>[^(<]"))) << "a placeholder is left";
  config_.aws.bundle_key.clear();
  EXPECT_EQ(builder_user_data(config_, endpoints_).error().code, "no_bundle");
}

TEST_F(UserDataTest, HostileSettingsStayInTheirPlace) {
  config_.model.labels = "x\"\n[aws]\nregion = \"evil";  // settings refuse it, the writer quotes it
  EXPECT_THAT(worker_settings(config_, endpoints_), HasSubstr(R"(labels = "x\"\n[aws]\nregion = \"evil")"
                                                              "\n"));
}

}  // namespace
}  // namespace imgrec::user_data_test
