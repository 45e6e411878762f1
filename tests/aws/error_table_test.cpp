#include "aws/client/error_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lib/base/file.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::error_table_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Classified classify_code(const std::string& code, int status) {
  return classify({"sqs", "SendMessage"}, status, {.code = code, .message = "Words.", .request_id = "id-1"});
}

TEST(ErrorTable, KnowsTheStandardModesCodes) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("retry"));
  const json facts = json::parse(*read_file(suite / "retry-v2.1-cases.json", kMiB));
  for (const json& code : facts["throttling_codes"]) {
    const Classified got = classify_code(code, 400);
    EXPECT_EQ(got.error.kind, ErrorKind::throttled) << code;
    EXPECT_EQ(got.retry, RetryClass::throttled) << code;
  }
  for (const json& code : facts["transient_codes"]) {
    EXPECT_NE(classify_code(code, 400).retry, RetryClass::none) << code;
  }
  for (const json& status : facts["transient_http"]) {
    const Classified got = classify_code("SomethingNew", status);
    EXPECT_EQ(got.error.kind, ErrorKind::transient) << status;
    EXPECT_EQ(got.retry, RetryClass::transient) << status;
  }
}

TEST(ErrorTable, Kinds) {
  const struct {
    const char* code;
    int status;
    ErrorKind kind;
    RetryClass retry;
  } kCases[] = {
      {"QueueDoesNotExist", 400, ErrorKind::not_found, RetryClass::none},
      {"NoSuchKey", 404, ErrorKind::not_found, RetryClass::none},
      {"AccessDenied", 403, ErrorKind::denied, RetryClass::none},
      {"InsufficientInstanceCapacity", 500, ErrorKind::throttled, RetryClass::none},
      {"ExpiredToken", 400, ErrorKind::denied, RetryClass::none},
      {"ValidationError", 400, ErrorKind::invalid, RetryClass::none},
      {"KMS.ThrottlingException", 400, ErrorKind::throttled, RetryClass::throttled},
      {"KmsThrottled", 400, ErrorKind::throttled, RetryClass::throttled},
      {"KMS.DisabledException", 400, ErrorKind::denied, RetryClass::none},
      {"KMS.NotFoundException", 400, ErrorKind::denied, RetryClass::none},
      {"KMS.KMSInvalidStateException", 400, ErrorKind::denied, RetryClass::none},
      {"KmsAccessDenied", 400, ErrorKind::denied, RetryClass::none},
      {"KmsInvalidKeyUsage", 400, ErrorKind::denied, RetryClass::none},
      {"KmsOptInRequired", 403, ErrorKind::denied, RetryClass::none},
      {"KMS.SomethingNew", 500, ErrorKind::transient, RetryClass::transient},
      {"", 404, ErrorKind::not_found, RetryClass::none},
      {"", 403, ErrorKind::denied, RetryClass::none},
      {"", 429, ErrorKind::throttled, RetryClass::throttled},
      {"", 503, ErrorKind::transient, RetryClass::transient},
      {"", 501, ErrorKind::transient, RetryClass::none},
      {"", 301, ErrorKind::invalid, RetryClass::none},
  };
  for (const auto& one : kCases) {
    const Classified got = classify_code(one.code, one.status);
    EXPECT_EQ(got.error.kind, one.kind) << one.code << one.status;
    EXPECT_EQ(got.retry, one.retry) << one.code << one.status;
  }
}

TEST(ErrorTable, MessagesSayWhatWhereAndWhatToDo) {
  EXPECT_EQ(classify_code("QueueDoesNotExist", 400).error.message,
            "SQS SendMessage failed: QueueDoesNotExist: Words. (request id id-1) "
            "Create the queue, or check its name, the account and the region.");
  EXPECT_EQ(classify({"s3", "HeadObject"}, 403, {}).error.message,
            "S3 HeadObject failed: HTTP 403. Allow this action in the role's IAM policy, and check the resource's own "
            "policy.");
}

HttpClientResponse response(std::string body, HttpHeaders headers = {}) {
  return {400, std::move(headers), std::move(body)};
}

TEST(ServiceErrors, OfEveryWireFormat) {
  ServiceError got = parse_service_error(
      response(R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"No."})", {{"x-amzn-requestid", "r1"}}));
  EXPECT_EQ(got.code, "QueueDoesNotExist");
  EXPECT_EQ(got.message, "No.");
  EXPECT_EQ(got.request_id, "r1");
  got = parse_service_error(response(R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist"})",
                                     {{"x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender"}}));
  EXPECT_EQ(got.code, "AWS.SimpleQueueService.NonExistentQueue");
  got = parse_service_error(
      response("<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>No &amp; no"
               "</Message></Error><RequestId>r2</RequestId></ErrorResponse>"));
  EXPECT_EQ(got.code, "AccessDenied");
  EXPECT_EQ(got.message, "No & no");
  EXPECT_EQ(got.request_id, "r2");
  got = parse_service_error(
      response("<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code>"
               "<Message>m</Message></Error></Errors><RequestID>r3</RequestID></Response>"));
  EXPECT_EQ(got.code, "UnauthorizedOperation");
  EXPECT_EQ(got.request_id, "r3");
  got = parse_service_error(
      response("<Error><Code>NoSuchKey</Code><Message>m</Message><Key>k</Key><RequestId>r4</RequestId></Error>"));
  EXPECT_EQ(got.code, "NoSuchKey");
  EXPECT_EQ(got.request_id, "r4");
}

TEST(ServiceErrors, SurvivesWhatIsNoError) {
  for (const char* body : {"", "<", "<html><body>proxy</body></html>", "{", "[]", "{\"__type\":1}", "plain"}) {
    const ServiceError got = parse_service_error(response(body));
    EXPECT_EQ(got.code, "") << body;
    EXPECT_EQ(got.message, "") << body;
  }
}

TEST(ServiceErrors, CannotForgeLinesOrFlood) {
  const ServiceError got = parse_service_error(
      response(R"({"__type":"A","message":"x\nlevel=error forged\u0000\u007f)" + std::string(5000, 'y') + "\"}"));
  EXPECT_THAT(got.message, Not(HasSubstr("\n")));
  EXPECT_LE(got.message.size(), 500u);
}

}  // namespace
}  // namespace imgrec::aws::error_table_test
