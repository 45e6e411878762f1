#include "aws/client/error_table.hpp"

#include <algorithm>
#include <array>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

struct Row {
  std::string_view aws_code;
  ErrorKind kind;
  std::string_view code;
  RetryClass retry;
  std::string_view advice;
};

constexpr auto kThrottled = ErrorKind::throttled;
constexpr auto kTransient = ErrorKind::transient;
constexpr auto kNotFound = ErrorKind::not_found;
constexpr auto kInvalid = ErrorKind::invalid;
constexpr auto kDenied = ErrorKind::denied;
constexpr auto kNo = RetryClass::none;
constexpr auto kSlow = RetryClass::throttled;
constexpr auto kAgain = RetryClass::transient;

constexpr std::string_view kSlowAdvice = "It is tried again more slowly; if that goes on, ask AWS for a higher limit.";
constexpr std::string_view kAgainAdvice = "It is usually over in seconds; see the AWS health dashboard if it goes on.";
constexpr std::string_view kKeyAdvice = "Check the access key: `imgrec doctor` shows where it comes from.";
constexpr std::string_view kExpiredAdvice =
    "The session's credentials ended; renew them (for example `aws sso login`).";
constexpr std::string_view kClockAdvice = "Set this machine's clock (for example with chrony).";
constexpr std::string_view kPolicyAdvice =
    "Allow this action in the role's IAM policy, and check the resource's own policy.";
constexpr std::string_view kQueueAdvice = "Create the queue, or check its name, the account and the region.";
constexpr std::string_view kBucketAdvice = "Create the bucket, or check its name and the region.";
constexpr std::string_view kCapacityAdvice = "Allow more instance types, zones or a higher quota.";

constexpr Row kRows[] = {
    // throttling: the standard mode's list, and EC2's
    {"Throttling", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"ThrottlingException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"ThrottledException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"RequestThrottledException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"TooManyRequestsException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"ProvisionedThroughputExceededException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"TransactionInProgressException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"RequestLimitExceeded", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"BandwidthLimitExceeded", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"LimitExceededException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"RequestThrottled", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"SlowDown", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"PriorRequestNotComplete", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"EC2ThrottledException", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"KmsThrottled", kThrottled, "throttled", kSlow, kSlowAdvice},
    {"KMS.ThrottlingException", kThrottled, "throttled", kSlow, kSlowAdvice},
    // passing
    {"RequestTimeout", kTransient, "timeout", kAgain, kAgainAdvice},
    {"RequestTimeoutException", kTransient, "timeout", kAgain, kAgainAdvice},
    {"InternalError", kTransient, "service_error", kAgain, kAgainAdvice},
    {"InternalFailure", kTransient, "service_error", kAgain, kAgainAdvice},
    {"ServiceUnavailable", kTransient, "service_unavailable", kAgain, kAgainAdvice},
    {"Unavailable", kTransient, "service_unavailable", kAgain, kAgainAdvice},
    {"BadDigest", kTransient, "corrupted_in_transit", kAgain,
     "The bytes changed on the way; check the network or its proxies."},
    {"XAmzContentSHA256Mismatch", kTransient, "corrupted_in_transit", kAgain,
     "The bytes changed on the way; check the network or its proxies."},
    {"IncompleteBody", kTransient, "corrupted_in_transit", kAgain,
     "The upload was cut off; check the network or its proxies."},
    {"OperationAborted", kTransient, "conflict", kAgain, "Another call changes the same thing at the moment."},
    {"ConditionalRequestConflict", kTransient, "conflict", kAgain,
     "Another call writes the same object at the moment."},
    {"IDPCommunicationError", kTransient, "identity_provider_unreachable", kAgain,
     "The identity provider did not answer AWS."},
    {"AWS.SimpleQueueService.QueueDeletedRecently", kTransient, "queue_deleted_recently", kNo,
     "Wait a minute: a queue's name is free again 60 seconds after its deletion."},
    {"QueueDeletedRecently", kTransient, "queue_deleted_recently", kNo,
     "Wait a minute: a queue's name is free again 60 seconds after its deletion."},
    // SQS
    {"QueueDoesNotExist", kNotFound, "no_such_queue", kNo, kQueueAdvice},
    {"AWS.SimpleQueueService.NonExistentQueue", kNotFound, "no_such_queue", kNo, kQueueAdvice},
    {"ReceiptHandleIsInvalid", kNotFound, "stale_receipt", kNo, "The message was delivered again or is gone."},
    {"MessageNotInflight", kNotFound, "stale_receipt", kNo, "The message was delivered again or is gone."},
    {"AWS.SimpleQueueService.MessageNotInflight", kNotFound, "stale_receipt", kNo,
     "The message was delivered again or is gone."},
    {"BatchRequestTooLong", kInvalid, "message_too_large", kNo, "The limit is 1 MiB for a message and for a batch."},
    {"AWS.SimpleQueueService.BatchRequestTooLong", kInvalid, "message_too_large", kNo,
     "The limit is 1 MiB for a message and for a batch."},
    {"InvalidMessageContents", kInvalid, "bad_message", kNo, "The text holds characters that SQS does not carry."},
    {"QueueNameExists", kInvalid, "queue_differs", kNo,
     "The queue exists with other attributes; change them or use another name."},
    {"QueueAlreadyExists", kInvalid, "queue_differs", kNo,
     "The queue exists with other attributes; change them or use another name."},
    {"OverLimit", kThrottled, "too_many_in_flight", kNo,
     "The queue has 120,000 messages in flight (FIFO: 20,000); finish some first."},
    // S3
    {"NoSuchKey", kNotFound, "no_such_object", kNo, "The object is not there."},
    {"NoSuchBucket", kNotFound, "no_such_bucket", kNo, kBucketAdvice},
    {"PreconditionFailed", kInvalid, "precondition_failed", kNo, "The object is there already, or changed meanwhile."},
    {"BucketAlreadyOwnedByYou", kInvalid, "bucket_exists", kNo, "It is there already."},
    {"BucketNotEmpty", kInvalid, "bucket_not_empty", kNo, "Delete its objects first."},
    {"BucketAlreadyExists", kDenied, "bucket_taken", kNo,
     "Another account owns a bucket with that name; choose another."},
    {"PermanentRedirect", kInvalid, "wrong_region", kNo, "The bucket is in another region; set that region."},
    {"AuthorizationHeaderMalformed", kInvalid, "wrong_region", kNo,
     "The bucket may be in another region; set that region."},
    {"InvalidRange", kInvalid, "bad_range", kNo, "The object is shorter than the part asked for."},
    // EC2
    {"InsufficientInstanceCapacity", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"InsufficientCapacity", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"InsufficientHostCapacity", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"InsufficientReservedInstanceCapacity", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"InsufficientFreeAddressesInSubnet", kThrottled, "no_capacity", kNo,
     "The subnet has no address left; allow further subnets."},
    {"UnfulfillableCapacity", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"Unsupported", kInvalid, "unsupported", kNo,
     "That instance type is not offered in that zone, or not with that image; allow others."},
    {"SpotMaxPriceTooLow", kThrottled, "no_capacity", kNo, kCapacityAdvice},
    {"MaxSpotInstanceCountExceeded", kThrottled, "quota_reached", kNo, kCapacityAdvice},
    {"InstanceLimitExceeded", kThrottled, "quota_reached", kNo, kCapacityAdvice},
    {"VcpuLimitExceeded", kThrottled, "quota_reached", kNo, kCapacityAdvice},
    {"InvalidInstanceID.NotFound", kNotFound, "no_such_instance", kNo, "It has ended, or was launched moments ago."},
    {"InvalidLaunchTemplateName.NotFoundException", kNotFound, "no_such_launch_template", kNo,
     "Check its name and the region."},
    {"InvalidLaunchTemplateId.NotFound", kNotFound, "no_such_launch_template", kNo, "Check its id and the region."},
    {"InvalidAMIID.NotFound", kNotFound, "no_such_image", kNo,
     "An AMI belongs to one region; check its id and the region."},
    {"IdempotentParameterMismatch", kInvalid, "token_reused", kNo,
     "The same client token was used for another request."},
    {"DryRunOperation", kInvalid, "dry_run_succeeded", kNo, "The call would have succeeded."},
    // who may
    {"AccessDenied", kDenied, "access_denied", kNo, kPolicyAdvice},
    {"AccessDeniedException", kDenied, "access_denied", kNo, kPolicyAdvice},
    {"UnauthorizedOperation", kDenied, "access_denied", kNo, kPolicyAdvice},
    {"InvalidClientTokenId", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"InvalidAccessKeyId", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"UnrecognizedClientException", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"AuthFailure", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"InvalidToken", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"InvalidIdentityToken", kDenied, "bad_identity_token", kNo,
     "Check the web identity's token file and the role's trust policy."},
    {"InvalidIdentityTokenException", kDenied, "bad_identity_token", kNo,
     "Check the web identity's token file and the role's trust policy."},
    {"SignatureDoesNotMatch", kDenied, "bad_signature", kNo, "Check the secret access key and this machine's clock."},
    {"InvalidSignatureException", kDenied, "bad_signature", kNo,
     "Check the secret access key and this machine's clock."},
    {"IncompleteSignature", kDenied, "bad_signature", kNo, kKeyAdvice},
    {"MissingAuthenticationToken", kDenied, "bad_credentials", kNo, kKeyAdvice},
    {"OptInRequired", kDenied, "not_subscribed", kNo, "Enable the service, or the region, for this account."},
    {"ExpiredToken", kDenied, "credentials_expired", kNo, kExpiredAdvice},
    {"ExpiredTokenException", kDenied, "credentials_expired", kNo, kExpiredAdvice},
    {"RequestTimeTooSkewed", kDenied, "clock_wrong", kNo, kClockAdvice},
    {"RequestExpired", kDenied, "clock_wrong", kNo, kClockAdvice},
    {"RequestInTheFuture", kDenied, "clock_wrong", kNo, kClockAdvice},
};

Row by_status(int status) {
  switch (status) {
    case 500:
    case 502:
    case 503:
    case 504: return {"", kTransient, "service_error", kAgain, kAgainAdvice};
    case 429: return {"", kThrottled, "throttled", kSlow, kSlowAdvice};
    case 401:
    case 403: return {"", kDenied, "access_denied", kNo, kPolicyAdvice};
    case 404: return {"", kNotFound, "not_found", kNo, "Check the name and the region."};
    case 408: return {"", kTransient, "timeout", kAgain, kAgainAdvice};
    case 412: return {"", kInvalid, "precondition_failed", kNo, "The object is there already, or changed meanwhile."};
    default: break;
  }
  if (status >= 500) return {"", kTransient, "service_error", kNo, kAgainAdvice};
  if (status >= 300 && status < 400) return {"", kInvalid, "wrong_region", kNo, "The bucket may be in another region."};
  return {"", kInvalid, "refused", kNo, "The request does not fit the service; check the configuration."};
}

// "KMS.DisabledException", "KmsAccessDenied", …: the key that encrypts the queue or the bucket cannot be used. A person
// has to change that; what was asked for is right.
constexpr Row kKmsRow = {"", kDenied, "key_unusable", kNo,
                         "Enable the KMS key, and allow this identity to use it (kms:GenerateDataKey, kms:Decrypt)."};

Row row_for(std::string_view aws_code, int status) {
  const auto* found =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.aws_code == aws_code; });
  if (found != std::end(kRows)) return *found;
  const bool is_kms = aws_code.starts_with("KMS.") || aws_code.starts_with("Kms");
  return is_kms && status < 500 ? kKmsRow : by_status(status);
}

}  // namespace

std::string display_name(const CallName& call) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"sqs", "SQS"},
                                                                      {"s3", "S3"},
                                                                      {"ec2", "EC2"},
                                                                      {"sts", "STS"},
                                                                      {"iam", "IAM"},
                                                                      {"autoscaling", "Auto Scaling"},
                                                                      {"monitoring", "CloudWatch"},
                                                                      {"cloudformation", "CloudFormation"}};
  for (const auto& [service, name] : kNames) {
    if (service == call.service) return std::string(name) + " " + call.operation;
  }
  return call.service + " " + call.operation;
}

Classified classify(const CallName& call, int status, const ServiceError& error) {
  const Row row = row_for(error.code, status);
  std::string message = display_name(call) + " failed: ";
  message += error.code.empty() ? "HTTP " + std::to_string(status) : error.code;
  if (!error.message.empty()) {
    message += ": " + error.message;
    if (!message.ends_with('.')) message += '.';
  } else {
    message += '.';
  }
  if (!error.request_id.empty()) message += " (request id " + error.request_id + ")";
  message += " " + std::string(row.advice);
  return {.error = {row.kind, std::string(row.code), std::move(message)}, .retry = row.retry};
}

bool is_credentials_error(std::string_view aws_code) {
  constexpr std::array<std::string_view, 4> kCodes = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId",
                                                      "UnrecognizedClientException"};
  return std::find(kCodes.begin(), kCodes.end(), aws_code) != kCodes.end();
}

}  // namespace imgrec::aws
