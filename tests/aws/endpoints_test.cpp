#include "aws/client/endpoints.hpp"

#include <gtest/gtest.h>

namespace imgrec::aws::endpoints_test {
namespace {

std::string url_of(const Result<Endpoint>& endpoint) {
  return endpoint ? endpoint->scheme + "://" + endpoint->authority + endpoint->base_path : endpoint.error().code;
}

std::string url_of(const Environment& environment, const std::string& service, const std::string& config = "") {
  const auto profiles = parse_profiles(config, "");
  const auto settings = endpoint_settings(environment, profiles);
  return settings ? url_of(endpoint_for(*settings, service)) : settings.error().code;
}

TEST(Endpoints, OfServicesAndRegions) {
  EXPECT_EQ(url_of({}, "sqs"), "https://sqs.us-east-1.amazonaws.com");
  EXPECT_EQ(url_of({{"AWS_REGION", "eu-west-3"}, {"AWS_DEFAULT_REGION", "x"}}, "ec2"),
            "https://ec2.eu-west-3.amazonaws.com");
  EXPECT_EQ(url_of({{"AWS_DEFAULT_REGION", "eu-west-3"}}, "autoscaling"),
            "https://autoscaling.eu-west-3.amazonaws.com");
  EXPECT_EQ(url_of({}, "sts", "[default]\nregion = ap-south-1"), "https://sts.ap-south-1.amazonaws.com");
  EXPECT_EQ(url_of({{"AWS_REGION", "cn-north-1"}}, "sqs"), "https://sqs.cn-north-1.amazonaws.com.cn");
  EXPECT_EQ(url_of({{"AWS_REGION", "eu-west-1"}}, "iam"), "https://iam.amazonaws.com");
  EXPECT_EQ(url_of({{"AWS_USE_FIPS_ENDPOINT", "true"}, {"AWS_USE_DUALSTACK_ENDPOINT", "TRUE"}}, "sts"),
            "https://sts-fips.us-east-1.api.aws");
}

TEST(Endpoints, ThoseThatAwsDoesNotHaveAreRefused) {
  EXPECT_EQ(url_of({{"AWS_REGION", "cn-north-1"}, {"AWS_USE_FIPS_ENDPOINT", "true"}}, "s3"), "no_fips_endpoint");
  EXPECT_EQ(url_of({{"AWS_REGION", "us-gov-west-1"}, {"AWS_USE_FIPS_ENDPOINT", "true"}}, "sqs"),
            "https://sqs.us-gov-west-1.amazonaws.com")
      << "validated under their plain names";
}

TEST(Endpoints, IamIsSignedForItsOneRegion) {
  EndpointSettings settings;
  settings.region = "eu-west-1";
  EXPECT_EQ(endpoint_for(settings, "iam")->signing_region, "us-east-1");
  EXPECT_EQ(endpoint_for(settings, "sqs")->signing_region, "eu-west-1");
}

TEST(Endpoints, OverridesInTheirOrder) {
  const std::string config =
      "[default]\nservices = s\nendpoint_url = http://profile\n[services s]\nsqs =\n  endpoint_url = "
      "http://profile-sqs\n"
      "cloudwatch =\n  endpoint_url = http://profile-cw\n";
  EXPECT_EQ(url_of({{"AWS_ENDPOINT_URL", "http://all"}, {"AWS_ENDPOINT_URL_SQS", "http://own:9324/"}}, "sqs", config),
            "http://own:9324");
  EXPECT_EQ(url_of({{"AWS_ENDPOINT_URL", "http://all"}}, "sqs", config), "http://all");
  EXPECT_EQ(url_of({}, "sqs", config), "http://profile-sqs");
  EXPECT_EQ(url_of({}, "monitoring", config), "http://profile-cw");
  EXPECT_EQ(url_of({}, "ec2", config), "http://profile");
  EXPECT_EQ(url_of({{"AWS_ENDPOINT_URL_AUTO_SCALING", "http://as"}}, "autoscaling"), "http://as");
  EXPECT_EQ(
      url_of({{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}, {"AWS_ENDPOINT_URL", "http://all"}}, "ec2", config),
      "https://ec2.us-east-1.amazonaws.com");
  EXPECT_EQ(url_of({{"AWS_ENDPOINT_URL", "not a url"}}, "ec2"), "bad_endpoint");
}

TEST(Endpoints, Buckets) {
  EndpointSettings settings;
  EXPECT_EQ(url_of(bucket_endpoint(settings, "photos")), "https://photos.s3.us-east-1.amazonaws.com");
  EXPECT_EQ(url_of(bucket_endpoint(settings, "my.photos")), "https://s3.us-east-1.amazonaws.com/my.photos");
  settings.s3_path_style = true;
  EXPECT_EQ(url_of(bucket_endpoint(settings, "photos")), "https://s3.us-east-1.amazonaws.com/photos");
  settings.s3_path_style = false;
  settings.overrides["s3"] = "http://127.0.0.1:9000/base/";
  EXPECT_EQ(url_of(bucket_endpoint(settings, "photos")), "http://127.0.0.1:9000/base/photos");
}

TEST(Endpoints, NoNameReachesAnotherHost) {
  EndpointSettings settings;
  for (const char* bucket : {"", "ab", "evil.example.com/x", "a@b.example", "a:80", "photos#", "Photos", "..a", "a..b",
                             "-ab", "ab-", "192.168.1.1", "a\r\nb", "a%2fb", "a_b", "evil.com\\.x"}) {
    EXPECT_EQ(url_of(bucket_endpoint(settings, bucket)), "bad_bucket") << bucket;
  }
  EXPECT_EQ(url_of(bucket_endpoint(settings, std::string(64, 'a'))), "bad_bucket");
  for (const char* region :
       {"evil.com/", "us-east-1.evil.com", "us east", "us@east", "-us", "us-", "US-EAST-1", "a#", "a\n"}) {
    settings.region = region;
    EXPECT_EQ(url_of(endpoint_for(settings, "sqs")), "bad_region") << region;
  }
  EXPECT_EQ(url_of({{"AWS_REGION", "x.evil.com/?"}}, "sqs"), "bad_region");
}

}  // namespace
}  // namespace imgrec::aws::endpoints_test
