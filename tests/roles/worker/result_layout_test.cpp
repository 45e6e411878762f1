// Results as the reference systems lay them out: keys and bytes, for any file name, and at every delivery the same.
#include "roles/worker/result_layout.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/base/text.hpp"
#include "tests/roles/worker/worker_fixture.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::result_layout_test {
namespace {

using test::FakeClassifiers;
using test::StoreCall;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Named {
  JobRequest request;
  JobResult result;
};

Named named(const std::string& name, const std::string& label = "bathtub") {
  Named both;
  both.request.job = both.result.job = JobId("01M8CGPRX23WA1402P0Y3VSN6B");
  both.request.name = both.result.name = name;
  both.request.submitted_at = parse_rfc3339("2021-03-12T20:40:40.838Z").value();
  both.result.labels = {{.index = 435, .wnid = "n02808440", .label = label, .score = 0.9}};
  return both;
}

std::string key_of(const ResultsConfig& results, const Named& both, int later = 0) {
  return named_result_key(results, both.request, both.result, later).str();
}

TEST(ResultLayout, KeysAreThoseOfTheReferenceSystems) {
  const Named photo = named("test_0.JPEG");
  const std::string job = photo.request.job.str();
  EXPECT_EQ(key_of({.layout = "pair", .key = "name", .prefix = ""}, photo), "test_0");
  EXPECT_EQ(key_of({.layout = "labelled-image", .key = "name", .prefix = ""}, photo), "test_0##bathtub.JPEG");
  EXPECT_EQ(key_of({.layout = "pair", .key = "job"}, photo), "named/" + job + "/test_0");
  EXPECT_EQ(key_of({.layout = "labelled-image", .key = "job"}, photo), "named/" + job + "/test_0##bathtub.JPEG");
  EXPECT_EQ(pair_json(photo.result), R"({"test_0": "bathtub"})");
}

TEST(ResultLayout, TheTimeIsWhenTheImageWasSentAndTheDateIsItsDayInUtc) {
  const ResultsConfig results{.layout = "pair", .key = "timestamp-name", .prefix = ""};
  const std::string key = key_of(results, named("test_3.JPG"));
  EXPECT_THAT(key, testing::MatchesRegex(R"(1615581640\.838[0-9]{3}_03-12-2021_test_3\.JPG)"));
  EXPECT_EQ(key_of(results, named("test_3.JPG")), key) << "at every delivery";
  EXPECT_EQ(std::stod(key_of(results, named("test_3.JPG"), 7)), std::stod(key) + 0.000007);
  EXPECT_THAT(key_of({.layout = "labelled-image", .key = "timestamp-name", .prefix = ""}, named("test_3.JPG")),
              testing::EndsWith("_test_3##bathtub.JPG"));
}

TEST(ResultLayout, WhatAKeyCannotHoldIsEncoded) {
  const auto stem = [](const std::string& name) {
    return key_of({.layout = "pair", .key = "name", .prefix = ""}, named(name));
  };
  EXPECT_EQ(stem("../../etc/passwd"), "passwd");
  EXPECT_EQ(stem("C:\\photos\\cat.jpg"), "cat");
  EXPECT_EQ(stem(".."), "%2E");
  EXPECT_EQ(stem("."), "%2E");
  EXPECT_EQ(stem(".hidden"), ".hidden");
  EXPECT_EQ(stem("50%\n\x7F.jpg"), "50%25%0A%7F");
  EXPECT_EQ(stem("a\xFF.jpg"), "a\xEF\xBF\xBD");
  EXPECT_EQ(stem("a\xEF\xBF\xBE\xC2\x85.jpg"), "a%EF%BF%BE%C2%85");
  EXPECT_EQ(stem("日本語.jpg"), "日本語");
  EXPECT_EQ(stem(""), "01M8CGPRX23WA1402P0Y3VSN6B");
  EXPECT_EQ(stem("photos/"), "01M8CGPRX23WA1402P0Y3VSN6B");
  // The last "##" is where the label begins.
  EXPECT_EQ(key_of({.layout = "labelled-image", .key = "name", .prefix = ""}, named("a##b.jpg", "c##d/e")),
            "a##b##c%23%23d%2Fe.jpg");
}

TEST(ResultLayout, LongNamesAreCutAndStayDifferent) {
  const ResultsConfig results{.layout = "labelled-image", .key = "timestamp-name", .prefix = ""};
  const std::string long_name(5'000, '\x01');
  std::set<std::string> keys;
  for (const std::string end : {"a", "b", ".jpeg", ".a-very-long-ending-that-is-none"}) {
    const std::string key = key_of(results, named(long_name + end, std::string(300, '#')));
    EXPECT_LE(key.size(), 255U);
    EXPECT_TRUE(check_object_key(key)) << key;
    keys.insert(key);
  }
  EXPECT_THAT(keys, SizeIs(4));
  EXPECT_EQ(key_part(std::string(31, 'x') + "é", 32),
            std::string(23, 'x') + "~" + sha256_hex(std::string(31, 'x') + "é").substr(0, 8));
}

TEST(ResultLayout, EveryNaughtyNameGivesAValidKeyThatLeadsNowhereElse) {
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata("filenames-blns"));
  std::ifstream file(folder / "blns.json");
  const auto names = nlohmann::json::parse(file);
  ASSERT_THAT(names, SizeIs(515));
  for (const auto& entry : names) {
    const std::string name = entry;
    for (const char* layout : {"pair", "labelled-image"}) {
      for (const char* scheme : {"job", "timestamp-name", "name"}) {
        const ResultsConfig results{.layout = layout, .key = scheme};
        for (const Named& both : {named(name), named("photo.jpg", name)}) {
          const std::string key = key_of(results, both);
          EXPECT_TRUE(check_object_key(key)) << key;
          EXPECT_TRUE(key.starts_with("named/"));
          EXPECT_EQ(split(key, '/').size(), results.key == "job" ? 3U : 2U) << key;
          EXPECT_LE(split(key, '/').back().size(), 255U) << key;
          EXPECT_EQ(key_of(results, both), key);
        }
      }
    }
  }
}

class NamedResultsTest : public test::WorkerFixture {
 protected:
  std::vector<std::string> named_keys() const {
    std::vector<std::string> found;
    for (const ObjectKey& key : outputs_.keys()) {
      if (key.str().starts_with("named/")) found.push_back(key.str());
    }
    return found;
  }
  std::string bytes(const std::string& key) {
    return test::bytes_of(outputs_.get(ObjectKey(key), kMiB)).value_or("nothing");
  }
};

TEST_F(NamedResultsTest, NothingIsStoredBesideTheDocumentUnlessItIsAskedFor) {
  submit("an image");
  run();
  EXPECT_THAT(outputs_.keys(), SizeIs(1));
}

TEST_F(NamedResultsTest, APairIsThereWhenTheAnswerIs) {
  settings_.results = {.layout = "pair", .key = "name"};
  const JobRequest request = submit("an image", "test_0.JPEG");
  submit(FakeClassifiers::bad_image("image_truncated"), "test_1.JPEG");  // has no label
  run();
  ASSERT_THAT(named_keys(), ElementsAre("named/test_0"));
  EXPECT_EQ(bytes("named/test_0"), "{\"test_0\": \"" + FakeClassifiers::label_of("an image") + "\"}");
  EXPECT_EQ(stored(request.job).name, "test_0.JPEG");
}

TEST_F(NamedResultsTest, ALabelledImageHasTheBytesThatWereSent) {
  settings_.results = {.layout = "labelled-image", .key = "job"};
  const JobRequest request = submit("an image", "a/test_0.JPEG");
  run();
  const std::string key = "named/" + request.job.str() + "/test_0##" + FakeClassifiers::label_of("an image") + ".JPEG";
  ASSERT_THAT(named_keys(), ElementsAre(key));
  EXPECT_EQ(bytes(key), "an image");
}

TEST_F(NamedResultsTest, ManyImagesOfOneNameSentTogetherEachHaveAnObject) {
  settings_.results = {.layout = "labelled-image", .key = "timestamp-name"};
  settings_.worker.threads = 4;
  for (int i = 0; i < 100; ++i) submit("image " + std::to_string(i), "image.jpg");
  run();
  expect_all_done();
  std::set<std::string> found;
  for (const std::string& key : named_keys()) found.insert(bytes(key));
  EXPECT_THAT(found, SizeIs(100));
}

TEST_F(NamedResultsTest, AnotherDeliveryStoresNothingTwiceAndFillsWhatACrashLeftOut) {
  for (const char* scheme : {"timestamp-name", "job"}) {
    settings_.results = {.layout = "labelled-image", .key = scheme};
    const JobRequest request = submit("an image", "test_0.JPEG");
    run();
    const auto before = named_keys();
    ASSERT_THAT(before, SizeIs(1));
    requests_->push(to_json(request));
    deliver_once();
    run();
    EXPECT_EQ(named_keys(), before);
    // As if the worker had died between the two objects.
    const ObjectKey key(before.front());
    ASSERT_TRUE(outputs_.remove({&key, 1}));
    requests_->push(to_json(request));
    deliver_once();
    run();
    EXPECT_EQ(named_keys(), before);
    EXPECT_EQ(bytes(before.front()), "an image");
    ASSERT_TRUE(outputs_.remove({&key, 1}));
  }
}

TEST_F(NamedResultsTest, AnImageThatIsGoneHoldsUpNoAnswer) {
  settings_.results = {.layout = "labelled-image", .key = "job"};
  const JobRequest request = submit("an image");
  run();
  const std::vector<ObjectKey> gone{ObjectKey(named_keys().front()), request.input.key};
  ASSERT_TRUE(outputs_.remove({gone.data(), 1}));
  ASSERT_TRUE(inputs_.remove({gone.data() + 1, 1}));
  requests_->push(to_json(request));
  deliver_once();
  run();
  EXPECT_EQ(answers().count(request.job), 2U);
  EXPECT_THAT(named_keys(), IsEmpty());
  EXPECT_TRUE(requests_->bodies().empty());
}

}  // namespace
}  // namespace imgrec::result_layout_test
