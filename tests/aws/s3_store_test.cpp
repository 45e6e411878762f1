#include "aws/adapters/s3_store.hpp"

#include <gmock/gmock.h>

#include <latch>
#include <map>
#include <mutex>
#include <thread>

#include "aws/client/encoding.hpp"
#include "lib/base/digest.hpp"
#include "tests/aws/imposter.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::aws::s3_store_test {
namespace {

using test::Fault;
using test::Reply;
using test::Seen;
using testing::ElementsAre;
using testing::HasSubstr;

Reply error(int status, const std::string& code) {
  return {.status = status,
          .body = "<?xml version=\"1.0\"?>\n<Error><Code>" + code + "</Code><Message>No.</Message></Error>",
          .headers = {{"x-amz-request-id", "R1"}}};
}

std::string checksum(const std::string& bytes) {
  return base64_of_hex(sha256_hex(bytes));
}

class S3StoreTest : public testing::Test {
 protected:
  Result<PutOutcome> put(const PutOptions& options = {}) { return store().put(ObjectKey("in/k"), "bytes", options); }
  Result<std::string> get(std::uint64_t bytes_max = 100) {
    return imgrec::test::bytes_of(store().get(ObjectKey("in/k"), bytes_max));
  }
  ObjectStore& store(Millis call_deadline = Seconds(60)) {
    if (!store_) {
      store_ =
          open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use, .call_deadline = call_deadline})
              .value();
    }
    return *store_;
  }
  Reply whole(const std::string& bytes) {
    return {.body = bytes, .headers = {{"x-amz-checksum-sha256", checksum(bytes)}}};
  }

  test::ImposterWorld world;
  test::Imposter& imposter = world.imposter;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(S3StoreTest, WhereConditionsAreRefusedItLooksFirst) {
  imposter.then(error(501, "NotImplemented"));
  imposter.then(error(404, ""));
  imposter.then(Reply{});
  testing::internal::CaptureStderr();
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  EXPECT_EQ(imposter.last().headers.count("if-none-match"), 0u);
  const Reply there{
      .headers = {{"ETag", "\"e1\""}, {"Content-Length", "5"}, {"Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"}}};
  imposter.then(there);
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::already_there);
  imposter.then(there);
  EXPECT_EQ(put({.if_match = "\"e0\""}), PutOutcome::changed);
  imposter.then(there);
  imposter.then(Reply{});
  EXPECT_EQ(put({.if_match = "\"e1\""}), PutOutcome::stored);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("it refuses them"));
  EXPECT_EQ(log.find("If-None-Match"), log.rfind("If-None-Match")) << "said once";
}

TEST_F(S3StoreTest, AProbeFindsAServiceThatIgnoresConditions) {
  store_ =
      open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use, .probe_conditions = true}).value();
  imposter.then(Reply{});
  imposter.then(Reply{});  // the probe is stored again
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  imposter.then(error(404, ""));
  imposter.then(Reply{});
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  EXPECT_EQ(imposter.last().headers.count("if-none-match"), 0u);
}

TEST_F(S3StoreTest, AProbeIsMadeOnceWhereConditionsWork) {
  store_ =
      open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use, .probe_conditions = true}).value();
  imposter.then(Reply{});
  imposter.then(error(412, "PreconditionFailed"));
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  imposter.then(Reply{});
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  EXPECT_EQ(imposter.last().headers.at("if-none-match"), "*");
}

TEST_F(S3StoreTest, OfPutsSideBySideOneProbes) {
  store_ =
      open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use, .probe_conditions = true}).value();
  constexpr int kPuts = 4;
  std::latch all_are_there(kPuts);  // so that all are answered while nobody knows yet
  std::mutex mutex;
  std::map<std::string, int> puts;
  imposter.always([&](const Seen& seen) {
    int count = 0;
    {
      std::lock_guard lock(mutex);
      count = ++puts[seen.target];
    }
    if (count > 1) return error(412, "PreconditionFailed");
    all_are_there.arrive_and_wait();
    return Reply{};
  });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kPuts; ++i) {
      threads.emplace_back([&, key = ObjectKey("in/" + std::to_string(i))] {
        EXPECT_EQ(store_->put(key, "bytes", {.only_if_absent = true}), PutOutcome::stored);
      });
    }
  }
  EXPECT_EQ(imposter.seen().size(), kPuts + 1U);
}

TEST_F(S3StoreTest, SwapsByTheETag) {
  imposter.then(Reply{.body = "old", .headers = {{"ETag", "\"e1\""}}});
  const auto read = store().get(ObjectKey("in/k"), 100);
  ASSERT_TRUE(read) << describe(read.error());
  EXPECT_EQ(read->version, "\"e1\"");
  imposter.then(Reply{});
  EXPECT_EQ(put({.if_match = read->version}), PutOutcome::stored);
  EXPECT_EQ(imposter.last().headers.at("if-match"), "\"e1\"");
  imposter.then(error(412, "PreconditionFailed"));
  EXPECT_EQ(put({.if_match = read->version}), PutOutcome::changed);
  imposter.then(error(404, "NoSuchKey"));
  EXPECT_EQ(put({.if_match = read->version}), PutOutcome::changed) << "it was removed meanwhile";
  imposter.then(error(409, "ConditionalRequestConflict"));
  imposter.then(Reply{});
  EXPECT_EQ(put({.if_match = read->version}), PutOutcome::stored) << "a conflict is tried again";
  imposter.then(error(404, "NoSuchBucket"));
  EXPECT_EQ(put({.if_match = read->version}).error().kind, ErrorKind::not_found);
  EXPECT_EQ(put({.if_match = ""}).error().code, "bad_version");
}

TEST_F(S3StoreTest, ACallersLimitsHoldBesidesItsOwn) {
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(store().get(ObjectKey("in/k"), 100, stopped.get_token()).error().kind, ErrorKind::cancelled);
  EXPECT_EQ(store().get(ObjectKey("in/k"), 100, Deadline{MonoTime::min()}).error().code, "timeout");
}

TEST_F(S3StoreTest, PutsWithTheChecksumThatTheCallerKnows) {
  imposter.then(Reply{});
  const PutOptions options{.sha256 = sha256_hex("what was received")};
  EXPECT_EQ(store().put(ObjectKey("k"), "what is sent", options), PutOutcome::stored);
  EXPECT_EQ(imposter.last().headers.at("x-amz-checksum-sha256"), checksum("what was received"));
  EXPECT_EQ(imposter.last().headers.at("x-amz-content-sha256"), sha256_hex("what was received"));
}

TEST_F(S3StoreTest, PutsWithAChecksum) {
  imposter.then(Reply{});
  EXPECT_EQ(
      store().put(ObjectKey("a b/käse+%&=?#.jpg"), "bytes", {.only_if_absent = true, .content_type = "image/jpeg"}),
      PutOutcome::stored);
  const Seen seen = imposter.last();
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.target, "/photos/a%20b/k%C3%A4se%2B%25%26%3D%3F%23.jpg");
  EXPECT_EQ(seen.body, "bytes");
  EXPECT_EQ(seen.headers.at("content-type"), "image/jpeg");
  EXPECT_EQ(seen.headers.at("x-amz-checksum-sha256"), checksum("bytes"));
  EXPECT_EQ(seen.headers.at("x-amz-content-sha256"), sha256_hex("bytes"));
  EXPECT_EQ(seen.headers.at("if-none-match"), "*");
  EXPECT_THAT(seen.headers.at("authorization"), HasSubstr("/us-east-1/s3/aws4_request"));
}

TEST_F(S3StoreTest, WhatIsThereStays) {
  imposter.then(error(412, "PreconditionFailed"));
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::already_there);
  imposter.then(error(409, "ConditionalRequestConflict"));
  imposter.then(Reply{});
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  EXPECT_FALSE(world.clock.sleeps().empty());
}

TEST_F(S3StoreTest, SlowDownIsWaitedOut) {
  imposter.then(error(503, "SlowDown"));
  imposter.then(error(503, "SlowDown"));
  imposter.then(Reply{});
  EXPECT_EQ(put(), PutOutcome::stored);
  EXPECT_EQ(world.clock.sleeps().size(), 2U);
  for (int i = 0; i < 3; ++i) imposter.then(error(503, "SlowDown"));
  const auto outcome = put();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::throttled);
  EXPECT_THAT(outcome.error().message, HasSubstr("S3 PutObject failed: SlowDown: No. (request id R1)"));
}

TEST_F(S3StoreTest, BytesThatArrivedDamagedAreSentAgain) {
  imposter.then(error(400, "BadDigest"));
  imposter.then(error(400, "XAmzContentSHA256Mismatch"));
  imposter.then(Reply{});
  EXPECT_EQ(put(), PutOutcome::stored);
  for (int i = 0; i < 3; ++i) imposter.then(error(400, "BadDigest"));
  const auto outcome = put();
  EXPECT_EQ(outcome.error().kind, ErrorKind::transient);
  EXPECT_EQ(outcome.error().code, "corrupted_in_transit");
}

TEST_F(S3StoreTest, ALostAnswerToAPutIsAskedForAgain) {
  imposter.then(Reply{.fault = Fault::cut});
  imposter.then(error(412, "PreconditionFailed"));  // the first had been carried out
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::already_there);
  EXPECT_EQ(imposter.seen()[0].body, imposter.seen()[1].body);
}

TEST_F(S3StoreTest, APartialReadIsNoObject) {
  Reply partial = whole("the whole object");
  partial.fault = Fault::truncate;
  partial.bytes_sent = 7;
  imposter.then(partial);
  imposter.then(whole("the whole object"));
  EXPECT_EQ(get(), "the whole object");
  for (int i = 0; i < 3; ++i) imposter.then(partial);
  const auto outcome = get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::transient);
}

TEST_F(S3StoreTest, BytesThatAreNotThoseStoredAreNoObject) {
  Reply damaged = whole("the object");
  damaged.body[0] = 'T';
  imposter.then(damaged);
  imposter.then(whole("the object"));
  EXPECT_EQ(get(), "the object");
  EXPECT_EQ(imposter.last().headers.at("x-amz-checksum-mode"), "ENABLED");
  for (int i = 0; i < 3; ++i) imposter.then(damaged);
  EXPECT_EQ(get().error().code, "corrupted_in_transit");
  // Of an object that was stored in parts, the checksum is one of checksums.
  imposter.then(Reply{.body = "in parts", .headers = {{"x-amz-checksum-sha256", checksum("x") + "-2"}}});
  EXPECT_EQ(get(), "in parts");
}

TEST_F(S3StoreTest, ABodyThatStallsIsGivenUp) {
  store(Millis(300));
  Reply stalled = whole("the whole object");
  stalled.fault = Fault::stall;
  stalled.bytes_sent = 3;
  imposter.always([stalled](const Seen&) { return stalled; });
  const auto outcome = get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::transient);
  EXPECT_EQ(outcome.error().code, "timeout");
}

TEST_F(S3StoreTest, ReadsNoMoreThanAllowed) {
  imposter.then(whole(std::string(101, 'x')));
  EXPECT_EQ(get(100).error().code, "object_too_large");
  Reply large = whole(std::string(kMiB, 'x'));
  large.fault = Fault::stall;  // were it read to the end, the test would not end
  large.bytes_sent = 1000;
  imposter.then(large);
  EXPECT_EQ(get(100).error().code, "object_too_large");
  EXPECT_EQ(imposter.seen().size(), 2U) << "that is not tried again";
}

TEST_F(S3StoreTest, TellsAMissingObjectFromAMissingBucket) {
  imposter.then(error(404, "NoSuchKey"));
  EXPECT_EQ(get().error().code, "no_such_object");
  imposter.then(error(404, "NoSuchBucket"));
  EXPECT_EQ(get().error().code, "no_such_bucket");
  imposter.then(error(403, "AccessDenied"));
  EXPECT_EQ(get(0).error().kind, ErrorKind::denied) << "an error's body does not count as the object's";
  imposter.then(Reply{.status = 404});
  EXPECT_EQ(store().head(ObjectKey("k")).error().code, "no_such_object");
}

TEST_F(S3StoreTest, HeadReadsSizeAndDate) {
  imposter.then(Reply{.headers = {{"Content-Length", "123456"}, {"Last-Modified", "Thu, 01 Jan 2026 00:00:05 GMT"}}});
  const auto info = store().head(ObjectKey("k"));
  ASSERT_TRUE(info) << describe(info.error());
  EXPECT_EQ(info->bytes, 123456U);
  EXPECT_EQ(to_rfc3339(info->modified_at), "2026-01-01T00:00:05.000Z");
  imposter.then(Reply{.headers = {{"Content-Length", "123456"}}});
  EXPECT_EQ(store().head(ObjectKey("k")).error().code, "bad_response");
}

std::string listed(const std::vector<std::string>& keys, bool more) {
  std::string out = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const std::string& key : keys) {
    out += "<Contents><Key>" + key +
           "</Key><Size>5</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>";
  }
  return out + "<IsTruncated>" + (more ? "true" : "false") + "</IsTruncated></ListBucketResult>";
}

TEST_F(S3StoreTest, ListsPageByPage) {
  imposter.then(Reply{.body = listed({"a b", "folder/", "&amp;&lt;\xC3\xA4"}, true)});
  const auto page = store().list("p/+ ", "p/a", 3);
  ASSERT_TRUE(page) << describe(page.error());
  ASSERT_EQ(page->objects.size(), 2U) << "names that are no keys here are left out";
  EXPECT_EQ(page->objects[0].key.str(), "a b");
  EXPECT_EQ(page->objects[1].key.str(), "&<\xC3\xA4");
  EXPECT_EQ(page->next, "&<\xC3\xA4");
  EXPECT_EQ(imposter.last().target, "/photos/?list-type=2&max-keys=3&prefix=p%2F%2B%20&start-after=p%2Fa");
}

TEST_F(S3StoreTest, AListThatEndsEarlyIsNoList) {
  const std::string whole_list = listed({"a", "b"}, false);
  imposter.then(Reply{.body = whole_list.substr(0, whole_list.size() - 30)});
  imposter.then(error(200, "InternalError"));
  imposter.then(Reply{.body = whole_list});
  EXPECT_EQ(store().list("", "", 10)->objects.size(), 2U);
  for (int i = 0; i < 3; ++i) imposter.then(error(200, "SlowDown"));
  EXPECT_EQ(store().list("", "", 10).error().code, "throttled");
}

TEST_F(S3StoreTest, RemovesInOneCall) {
  imposter.then(Reply{.body = "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"});
  const std::vector<ObjectKey> keys = {ObjectKey("a&b"), ObjectKey("c")};
  EXPECT_TRUE(store().remove(keys));
  const Seen seen = imposter.last();
  EXPECT_EQ(seen.method + " " + seen.target, "POST /photos/?delete=");
  EXPECT_THAT(seen.body, HasSubstr("<Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key>"));
  EXPECT_EQ(seen.headers.at("x-amz-checksum-sha256"), checksum(seen.body));
}

TEST_F(S3StoreTest, RemovesOneObjectByItsName) {
  imposter.then(Reply{.status = 204});
  const ObjectKey key("inputs/a");
  EXPECT_TRUE(store().remove({&key, 1}));
  EXPECT_EQ(imposter.last().method + " " + imposter.last().target, "DELETE /photos/inputs/a");
  imposter.then(error(403, "AccessDenied"));
  EXPECT_EQ(store().remove({&key, 1}).error().kind, ErrorKind::denied);
}

TEST_F(S3StoreTest, RemovesAgainWhatMayYetGo) {
  imposter.then(Reply{.body = "<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error>"
                              "<Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>"});
  imposter.then(Reply{.body = "<DeleteResult/>"});
  const std::vector<ObjectKey> keys = {ObjectKey("a"), ObjectKey("b"), ObjectKey("c")};
  EXPECT_EQ(store().remove(keys).error().kind, ErrorKind::denied);
  EXPECT_THAT(imposter.last().body, HasSubstr("<Object><Key>a</Key></Object></Delete>"));
  for (int i = 0; i < 3; ++i) {
    imposter.then(Reply{.body = "<DeleteResult><Error><Key>a</Key><Code>SlowDown</Code></Error></DeleteResult>"});
  }
  EXPECT_EQ(store().remove(keys).error().kind, ErrorKind::throttled);
}

TEST_F(S3StoreTest, AnErrorInTheAnswerOfARemovalIsNoSuccess) {
  imposter.then(error(200, "InternalError"));
  imposter.then(Reply{.body = ""});
  imposter.then(Reply{.body = "<DeleteResult/>"});
  const std::vector<ObjectKey> keys = {ObjectKey("a"), ObjectKey("b")};
  EXPECT_TRUE(store().remove(keys));
  EXPECT_EQ(imposter.seen().size(), 3U);
}

TEST_F(S3StoreTest, MakesItsBucketWhenAsked) {
  Session& session = world.in_region("eu-central-1");
  imposter.then(Reply{.status = 404});
  imposter.then(Reply{});
  EXPECT_TRUE(open_s3_store(session, {.bucket = "photos", .setup = BucketSetup::create}));
  EXPECT_EQ(imposter.last().method + " " + imposter.last().target, "PUT /photos/");
  EXPECT_THAT(imposter.last().body, HasSubstr("<LocationConstraint>eu-central-1</LocationConstraint>"));
  imposter.then(Reply{.status = 404});
  imposter.then(error(409, "BucketAlreadyOwnedByYou"));
  EXPECT_TRUE(open_s3_store(session, {.bucket = "photos", .setup = BucketSetup::create})) << "somebody else was faster";
  imposter.then(Reply{.status = 404});
  imposter.then(error(409, "BucketAlreadyExists"));
  EXPECT_EQ(open_s3_store(session, {.bucket = "photos", .setup = BucketSetup::create}).error().code, "bucket_taken");
}

TEST_F(S3StoreTest, ABucketThatItMakesGetsItsTagsAndItsKey) {
  const S3StoreOptions options{
      .bucket = "photos", .setup = BucketSetup::create, .kms_key = "alias/photos", .tags = {{"team", "a & b"}}};
  imposter.then(Reply{.status = 404});
  for (int i = 0; i < 3; ++i) imposter.then(Reply{});
  ASSERT_TRUE(open_s3_store(world.session, options));
  const auto seen = imposter.seen();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[2].method + " " + seen[2].target, "PUT /photos/?tagging=");
  EXPECT_THAT(seen[2].body, HasSubstr("<Tag><Key>team</Key><Value>a &amp; b</Value></Tag>"));
  EXPECT_EQ(seen[2].headers.at("x-amz-checksum-sha256"), checksum(seen[2].body));
  EXPECT_EQ(seen[3].target, "/photos/?encryption=");
  EXPECT_THAT(seen[3].body, HasSubstr("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>alias/photos<"));
  imposter.then(Reply{});
  EXPECT_TRUE(open_s3_store(world.session, options));
  EXPECT_EQ(imposter.seen().size(), 5U) << "one that is there stays as it is";
  imposter.then(Reply{.status = 404});
  imposter.then(Reply{});
  imposter.then(error(403, "AccessDenied"));
  const auto unfinished = open_s3_store(world.session, options);
  EXPECT_EQ(unfinished.error().kind, ErrorKind::denied);
  EXPECT_THAT(unfinished.error().message, HasSubstr("was made, but not finished"));
}

TEST_F(S3StoreTest, EveryPutNamesTheKey) {
  store_ =
      open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use, .kms_key = "1234-abcd"}).value();
  imposter.then(Reply{});
  EXPECT_EQ(put({.only_if_absent = true}), PutOutcome::stored);
  const auto headers = imposter.last().headers;
  EXPECT_EQ(headers.at("x-amz-server-side-encryption"), "aws:kms");
  EXPECT_EQ(headers.at("x-amz-server-side-encryption-aws-kms-key-id"), "1234-abcd");
  EXPECT_EQ(headers.at("x-amz-server-side-encryption-bucket-key-enabled"), "true");
  imposter.then(whole("bytes"));
  EXPECT_TRUE(get());
  EXPECT_FALSE(imposter.last().headers.contains("x-amz-server-side-encryption")) << "S3 refuses it on a GET";
}

TEST_F(S3StoreTest, SaysWhatIsWrongWithABucket) {
  const auto open = [&](int status) {
    imposter.then(Reply{.status = status});
    return open_s3_store(world.session, {.bucket = "photos"});
  };
  EXPECT_TRUE(open(200));
  EXPECT_EQ(open(404).error().code, "no_such_bucket");
  EXPECT_EQ(open(403).error().kind, ErrorKind::denied);
  EXPECT_EQ(open(301).error().code, "wrong_region");
  EXPECT_EQ(open_s3_store(world.session, {.bucket = "Not A Bucket"}).error().code, "bad_bucket");
}

TEST_F(S3StoreTest, ThePresignedUrlHoldsNoSecret) {
  const auto url = presigned_get(world.session, "photos", ObjectKey("bundle/a b.tar"), Seconds(3600));
  ASSERT_TRUE(url);
  EXPECT_THAT(*url, HasSubstr("/photos/bundle/a%20b.tar?X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
  EXPECT_THAT(*url, HasSubstr("&X-Amz-Expires=3600&"));
  EXPECT_THAT(*url, testing::Not(HasSubstr(test::test_keys().secret_access_key.reveal())));
}

TEST(S3Addressing, TheBucketIsPartOfTheHostWherePossible) {
  test::JumpClock clock;
  imgrec::test::SeededRng rng;
  auto http = std::make_unique<test::ScriptedHttp>();
  test::ScriptedHttp& script = *http;
  SessionParts parts;
  parts.http = std::move(http);
  parts.credentials = std::make_unique<FixedCredentials>(test::test_keys());
  Session session(std::move(parts), clock, rng);
  script.then(200);
  script.then(200);
  const auto virtual_host = open_s3_store(session, {.bucket = "photos", .setup = BucketSetup::use});
  const auto with_dot = open_s3_store(session, {.bucket = "my.photos", .setup = BucketSetup::use});
  ASSERT_TRUE((*virtual_host)->put(ObjectKey("a/b"), "x", {}));
  ASSERT_TRUE((*with_dot)->put(ObjectKey("a/b"), "x", {}));
  EXPECT_EQ(script.requests()[0].url, "https://photos.s3.us-east-1.amazonaws.com/a/b");
  EXPECT_EQ(script.requests()[1].url, "https://s3.us-east-1.amazonaws.com/my.photos/a/b");
}

}  // namespace
}  // namespace imgrec::aws::s3_store_test
