#include "aws/adapters/s3_store.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <expected>

#include "aws/adapters/s3_bucket.hpp"
#include "aws/adapters/s3_object.hpp"
#include "aws/client/clock_skew.hpp"
#include "aws/client/encoding.hpp"
#include "aws/client/sts.hpp"
#include "aws/client/wire/xml.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr std::size_t kRemoveMax = 1000;
constexpr int kRemoveRounds = 3;
constexpr Millis kPresignedMax = std::chrono::hours(24 * 7);

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class S3Store final : public ObjectStore {
 public:
  S3Store(Session& session, Endpoint endpoint, const S3StoreOptions& options)
      : session_(session),
        caller_(session.caller("s3")),
        endpoint_(std::move(endpoint)),
        call_deadline_(options.call_deadline),
        attempt_timeout_(options.attempt_timeout),
        encryption_(s3_encryption_headers(options.kms_key)),
        conditions_(options.probe_conditions ? Conditions::unknown : Conditions::work) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                         const CallLimits& limits) override;
  Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) override;
  Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits) override;
  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                        const CallLimits& limits) override;
  Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits) override;

 private:
  struct NotRemoved {
    ObjectKey key;
    Error error;
  };
  // `limits` as bounded() made them.
  CallResult call(CallRequest request, const CallLimits& limits) {
    request.timeout = attempt_timeout_;
    return caller_.call(request, limits.deadline, limits.stop);
  }
  CallLimits bounded(const CallLimits& limits) const { return limits.at_most(session_.clock(), call_deadline_); }
  Result<std::vector<NotRemoved>> remove_once(std::span<const ObjectKey> keys, const CallLimits& limits);
  std::expected<PutOutcome, CallFailure> put_once(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                                  const CallLimits& limits);
  Result<PutOutcome> look_and_put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                  const CallLimits& limits);
  void try_conditions(const ObjectKey& key, ByteView stored, const PutOptions& options, const CallLimits& limits);
  void give_up_conditions(std::string_view why);

  // Whether the service obeys the conditions of a put.
  enum class Conditions { unknown, being_tried, work, missing };

  Session& session_;
  Caller& caller_;
  const Endpoint endpoint_;
  const Millis call_deadline_, attempt_timeout_;
  const HttpHeaders encryption_;
  std::atomic<Conditions> conditions_;
};

Result<PutOutcome> S3Store::put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                const CallLimits& limits) {
  if (auto checked = check_object_key(key.str()); !checked) return fail(checked.error());
  if (options.if_match && options.if_match->empty()) {
    return fail(ErrorKind::invalid, "bad_version", "An object's version is not empty.");
  }
  const CallLimits within = bounded(limits);
  const bool has_condition = options.only_if_absent || options.if_match;
  if (has_condition && conditions_ == Conditions::missing) return look_and_put(key, bytes, options, within);
  const auto done = put_once(key, bytes, options, within);
  if (!done && has_condition && (done.error().status == 501 || done.error().aws_code == "NotImplemented")) {
    give_up_conditions("it refuses them");
    return look_and_put(key, bytes, options, within);
  }
  if (!done) return fail(done.error().error);
  if (has_condition && *done != PutOutcome::stored) conditions_ = Conditions::work;
  if (options.only_if_absent && *done == PutOutcome::stored) try_conditions(key, bytes, options, within);
  return *done;
}

// The same bytes again: a service that obeys says that they are there, one that does not changes nothing. Of the puts
// that run side by side one tries.
void S3Store::try_conditions(const ObjectKey& key, ByteView stored, const PutOptions& options,
                             const CallLimits& limits) {
  Conditions now = Conditions::unknown;
  if (!conditions_.compare_exchange_strong(now, Conditions::being_tried)) return;
  const auto again = put_once(key, stored, options, limits);
  if (again && *again == PutOutcome::stored) return give_up_conditions("it ignores them");
  now = Conditions::being_tried;  // unless another put has found it out
  conditions_.compare_exchange_strong(now, again ? Conditions::work : Conditions::unknown);
}

std::expected<PutOutcome, CallFailure> S3Store::put_once(const ObjectKey& key, ByteView bytes,
                                                         const PutOptions& options, const CallLimits& limits) {
  CallRequest request = object_call("PutObject", "PUT", endpoint_, key);
  request.payload_sha256 = options.sha256.empty() ? sha256_hex(bytes) : options.sha256;
  request.headers = {{"Content-Type", options.content_type},
                     {"x-amz-checksum-sha256", base64_of_hex(request.payload_sha256)}};
  request.headers.insert(request.headers.end(), encryption_.begin(), encryption_.end());
  if (options.only_if_absent) request.headers.emplace_back("If-None-Match", "*");
  if (options.if_match) request.headers.emplace_back("If-Match", *options.if_match);
  request.borrowed_body = bytes;
  const auto done = call(request, limits);
  if (done) return PutOutcome::stored;
  // Also when an attempt of ours stored it and its answer was lost: what is there is there once.
  if (options.only_if_absent && done.error().status == 412) return PutOutcome::already_there;
  const bool is_gone = done.error().status == 404 && done.error().aws_code != "NoSuchBucket";
  if (options.if_match && (done.error().status == 412 || is_gone)) return PutOutcome::changed;
  return std::unexpected(done.error());
}

// For services without conditions.
Result<PutOutcome> S3Store::look_and_put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                         const CallLimits& limits) {
  const auto there = head(key, limits);
  if (!there && there.error().kind != ErrorKind::not_found) return fail(there.error());
  if (options.only_if_absent && there) return PutOutcome::already_there;
  if (options.if_match && (!there || there->version != *options.if_match)) return PutOutcome::changed;
  PutOptions plain;
  plain.content_type = options.content_type;
  plain.sha256 = options.sha256;
  const auto done = put_once(key, bytes, plain, limits);
  if (!done) return fail(done.error().error);
  return *done;
}

void S3Store::give_up_conditions(std::string_view why) {
  if (conditions_.exchange(Conditions::missing) == Conditions::missing) return;
  log::warning(
      "this object store puts without conditions (If-None-Match, If-Match): objects are looked at before each put "
      "instead, and an image that two workers classify at the same moment may get its result twice",
      {{"why", why}, {"store", endpoint_.authority}});
}

Result<StoredObject> S3Store::get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) {
  return get_object(caller_, endpoint_, {.key = key, .bytes_max = bytes_max, .attempt_timeout = attempt_timeout_},
                    bounded(limits));
}

Result<ObjectInfo> S3Store::head(const ObjectKey& key, const CallLimits& limits) {
  if (auto checked = check_object_key(key.str()); !checked) return fail(checked.error());
  const auto got = call(object_call("HeadObject", "HEAD", endpoint_, key), bounded(limits));
  if (!got && got.error().status == 404) return fail(no_such_object(got.error().error));
  if (!got) return fail(got.error().error);
  const auto bytes = number(header_value(got->headers, "content-length"));
  const auto modified = parse_http_date(header_value(got->headers, "last-modified"));
  if (!bytes || !modified) {
    return fail(ErrorKind::transient, "bad_response", "S3 HeadObject failed: the answer lacks size or date.");
  }
  return ObjectInfo{
      .key = key, .bytes = *bytes, .modified_at = *modified, .version = header_value(got->headers, "etag")};
}

Result<ListPage> S3Store::list(std::string_view prefix, std::string_view after, int objects_max,
                               const CallLimits& limits) {
  if (objects_max < 1 || objects_max > kPageMax) {
    return fail(ErrorKind::invalid, "bad_page", "A page has 1 to 1000 objects.");
  }
  CallRequest request = bucket_call("ListObjectsV2", "GET", endpoint_);
  request.query = {{"list-type", "2"}, {"max-keys", std::to_string(objects_max)}};
  if (!prefix.empty()) request.query.emplace_back("prefix", prefix);
  if (!after.empty()) request.query.emplace_back("start-after", after);
  XmlElement document;
  const auto got = call(expect_document(request, "ListBucketResult", document), bounded(limits));
  if (!got) return fail(got.error().error);
  ListPage page;
  std::string last;
  for (const XmlElement* entry : document.all("Contents")) {
    last = entry->value("Key");
    // What others put into the bucket under names that are none here ("folder/") cannot be read through this port.
    if (!check_object_key(last)) continue;
    const auto bytes = number(entry->value("Size"));
    const auto modified = parse_expiry(entry->value("LastModified"));
    if (!bytes || !modified) {
      return fail(ErrorKind::transient, "bad_response", "S3 ListObjectsV2 failed: an object has no size or no date.");
    }
    page.objects.push_back(
        {.key = ObjectKey(last), .bytes = *bytes, .modified_at = *modified, .version = entry->value("ETag")});
  }
  if (document.value("IsTruncated") == "true") {
    if (last.empty()) return fail(ErrorKind::transient, "bad_response", "S3 ListObjectsV2 failed: a page is empty.");
    page.next = std::move(last);
  }
  return page;
}

// One call; what S3 did not remove, with its reasons.
Result<std::vector<S3Store::NotRemoved>> S3Store::remove_once(std::span<const ObjectKey> keys,
                                                              const CallLimits& limits) {
  std::vector<ObjectVersion> versions;
  for (const ObjectKey& key : keys) versions.push_back({.key = key.str(), .id = {}});
  CallRequest request = delete_objects_call(endpoint_, versions);
  XmlElement document;
  const auto got = call(expect_document(request, "DeleteResult", document), limits);
  if (!got) return fail(got.error().error);
  std::vector<NotRemoved> out;
  for (const XmlElement* entry : document.all("Error")) {
    ServiceError error{.code = entry->value("Code"), .message = entry->value("Message"), .request_id = {}};
    // The codes are those of single calls, whose statuses are not told: what is not known may pass.
    out.push_back({ObjectKey(entry->value("Key")), classify(request.name, 500, error).error});
  }
  return out;
}

Result<void> S3Store::remove(std::span<const ObjectKey> keys, const CallLimits& limits) {
  if (keys.size() > kRemoveMax) return fail(ErrorKind::invalid, "too_many_keys", "At most 1000 objects at a time.");
  const CallLimits within = bounded(limits);  // all rounds together
  if (keys.size() == 1) {
    if (auto checked = check_object_key(keys[0].str()); !checked) return fail(checked.error());
    const auto removed = call(object_call("DeleteObject", "DELETE", endpoint_, keys[0]), within);
    if (removed || removed.error().status == 404) return {};
    return fail(removed.error().error);
  }
  std::optional<Error> first_error;
  std::vector<ObjectKey> left;
  for (const ObjectKey& key : keys) {
    if (auto checked = check_object_key(key.str()); checked) {
      left.push_back(key);
    } else if (!first_error) {
      first_error = checked.error();
    }
  }
  for (int round = 1; !left.empty(); ++round) {
    auto not_removed = remove_once(left, within);
    if (!not_removed) return fail(first_error ? *first_error : not_removed.error());
    left.clear();
    for (NotRemoved& one : *not_removed) {
      if (is_retryable(one.error.kind) && round < kRemoveRounds && check_object_key(one.key.str())) {
        left.push_back(std::move(one.key));
      } else if (!first_error) {
        first_error = std::move(one.error);
      }
    }
    if (!left.empty()) {
      session_.clock().sleep_for(retry_delay(RetryClass::throttled, round, session_.rng().next_unit(), "", {}),
                                 within.stop);
    }
  }
  if (first_error) return fail(*first_error);
  return {};
}

}  // namespace

HttpHeaders s3_encryption_headers(const std::string& kms_key) {
  if (kms_key.empty()) return {};
  return {{"x-amz-server-side-encryption", "aws:kms"},
          {"x-amz-server-side-encryption-aws-kms-key-id", kms_key},
          {"x-amz-server-side-encryption-bucket-key-enabled", "true"}};
}

Result<std::unique_ptr<ObjectStore>> open_s3_store(Session& session, const S3StoreOptions& options) {
  auto endpoint = bucket_endpoint(session.endpoints(), options.bucket);
  if (!endpoint) return fail(endpoint.error());
  const CallLimits limits(Deadline::in(session.clock(), options.call_deadline), options.stop);
  const BucketOptions bucket{
      .name = options.bucket, .setup = options.setup, .kms_key = options.kms_key, .tags = options.tags};
  if (auto done = set_up_bucket(session, bucket, limits); !done) return fail(done.error());
  return std::make_unique<S3Store>(session, *std::move(endpoint), options);
}

Result<std::string> presigned_get(Session& session, const std::string& bucket, const ObjectKey& key, Seconds expires) {
  if (auto checked = check_object_key(key.str()); !checked) return fail(checked.error());
  const auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  const auto credentials = session.credentials().get({});
  if (!credentials) return fail(credentials.error());
  SigningOptions options =
      signing_options("s3", endpoint->signing_region, session.clock().wall_now() + session.caller("s3").clock_skew());
  options.expires = std::clamp(expires, Seconds(1), std::chrono::floor<Seconds>(kPresignedMax));
  const Signable request{.method = "GET",
                         .path = endpoint->base_path + path_of(key),
                         .query = {},
                         .headers = {{"Host", endpoint->authority}},
                         .payload_sha256 = std::string(kUnsignedPayload)};
  const Signed done = presign(request, *credentials, options);
  return endpoint->scheme + "://" + endpoint->authority + request.path + "?" + to_query_string(done.query);
}

}  // namespace imgrec::aws
