// Images in buckets of others: what the worker reads, and what becomes of what it cannot read.
#include <atomic>
#include <functional>

#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::object_reference_test {
namespace {

using test::bytes_of;
using test::FakeClassifiers;
using testing::IsEmpty;

class FakeReader final : public ObjectReader {
 public:
  using Answer = std::function<Result<std::string>(const ObjectReference&, std::uint64_t bytes_max)>;
  explicit FakeReader(Answer answer) : answer_(std::move(answer)) {}
  Result<std::string> read(const ObjectReference& object, std::uint64_t bytes_max, const CallLimits&) override {
    ++reads;
    return answer_(object, bytes_max);
  }
  std::atomic<int> reads = 0;

 private:
  Answer answer_;
};

class ObjectReferenceTest : public test::WorkerFixture {
 protected:
  ObjectReferenceTest() { settings_.image.object_buckets = "scans,photos"; }

  std::shared_ptr<FakeReader> read_by(FakeReader::Answer answer) {
    auto reader = std::make_shared<FakeReader>(std::move(answer));
    objects_ = reader;
    return reader;
  }
  JobError error_of(const ObjectReference& object) {
    const JobRequest request = refer_to(object);
    run();
    const JobResult answer = answer_to(request.job);
    EXPECT_THAT(requests_->bodies(), IsEmpty());
    EXPECT_THAT(dead_->bodies(), IsEmpty());
    return answer.error.value_or(JobError{.code = "none", .title = {}, .detail = {}});
  }

  const ObjectReference cat_{.bucket = "photos", .key = ObjectKey("2026/cat.jpg"), .version = "v1"};
};

TEST_F(ObjectReferenceTest, TheObjectIsClassifiedAndNothingIsCopied) {
  settings_.image.bytes_max = 1234;
  read_by([&](const ObjectReference& object, std::uint64_t bytes_max) {
    EXPECT_EQ(object, cat_);
    EXPECT_EQ(bytes_max, 1234U);
    return Result<std::string>("a cat");
  });
  const JobRequest request = refer_to(cat_);
  run();
  EXPECT_EQ(answer_to(request.job).labels.at(0).label, FakeClassifiers::label_of("a cat"));
  EXPECT_EQ(stored(request.job).labels.at(0).label, FakeClassifiers::label_of("a cat"));
  EXPECT_EQ(bytes_of(inputs_.get(request.input.key, kMiB)), to_json(cat_)) << "the reference, not the image";
}

TEST_F(ObjectReferenceTest, WhatCannotBeReadIsAnErrorOfThatImage) {
  const std::pair<Error, const char*> errors[] = {
      {{ErrorKind::not_found, "no_such_object", "arn:secret"}, "object_not_found"},
      {{ErrorKind::not_found, "no_such_bucket", "arn:secret"}, "object_not_found"},
      {{ErrorKind::denied, "access_denied", "arn:secret"}, "object_denied"},
      {{ErrorKind::invalid, "object_too_large", "arn:secret"}, "image_too_large"},
      {{ErrorKind::invalid, "wrong_region", "arn:secret"}, "bad_object_reference"}};
  for (const auto& [error, code] : errors) {
    read_by([&](const ObjectReference&, std::uint64_t) { return fail(error); });
    const JobError told = error_of(cat_);
    EXPECT_EQ(told.code, code);
    EXPECT_FALSE(told.retryable) << code;
    EXPECT_EQ(told.detail.find("secret"), std::string::npos) << "what AWS says may name accounts: " << told.detail;
  }
}

TEST_F(ObjectReferenceTest, AnOutageOfTheStoreIsNoErrorOfTheImage) {
  std::atomic<int> failures = 3;
  const auto reader = read_by([&](const ObjectReference&, std::uint64_t) -> Result<std::string> {
    if (failures-- > 0) return fail(ErrorKind::transient, "connection_failed", "No route.");
    return "a cat";
  });
  const JobRequest request = refer_to(cat_);
  run();
  EXPECT_EQ(answer_to(request.job).labels.at(0).label, FakeClassifiers::label_of("a cat"));
  EXPECT_EQ(reader->reads, 4);
}

TEST_F(ObjectReferenceTest, OtherBucketsAreNeverRead) {
  const auto reader = read_by([&](const ObjectReference&, std::uint64_t) { return Result<std::string>("a cat"); });
  EXPECT_EQ(error_of({.bucket = "others", .key = ObjectKey("x"), .version = ""}).code, "bucket_not_allowed");
  settings_.image.object_buckets = "";
  EXPECT_EQ(error_of(cat_).code, "bucket_not_allowed");
  EXPECT_EQ(reader->reads, 0);
}

TEST_F(ObjectReferenceTest, WhoLeavesTakesTheReferenceAlongAndTheObjectStays) {
  const auto reader = read_by([&](const ObjectReference&, std::uint64_t) { return Result<std::string>("a cat"); });
  const JobRequest request = refer_to(cat_);
  EXPECT_TRUE(inputs_.remove({&request.input.key, 1}, {}));
  run();
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_EQ(reader->reads, 0);
}

}  // namespace
}  // namespace imgrec::object_reference_test
