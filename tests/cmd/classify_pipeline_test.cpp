#include "cmd/files/classify_pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "tests/support/fake_classifier.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::classify_pipeline_test {
namespace {

using test::FakeClassifiers;

class ClassifyPipelineTest : public testing::Test {
 protected:
  ImageFile file(const std::string& name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path) << content;
    return {path.string(), std::nullopt};
  }
  std::vector<ImageFile> many(int count) {
    std::vector<ImageFile> files;
    for (int i = 0; i < count; ++i) files.push_back(file(std::to_string(i), "image " + std::to_string(i)));
    return files;
  }
  test::TempDir folder_;
  test::FakeClock clock_;
  FakeClassifiers classifiers_{clock_};
  ClassifyOptions options_{.threads = 4, .top_k = 1, .file_bytes_max = 1000};
  std::vector<FileOutcome> outcomes_;
  std::function<void(const FileOutcome&)> collect_ = [this](const FileOutcome& outcome) {
    outcomes_.push_back(outcome);
  };
};

TEST_F(ClassifyPipelineTest, EachFileGetsItsOwnLabelInOrder) {
  const auto files = many(200);
  ASSERT_TRUE(classify_files(files, classifiers_.factory(), options_, clock_, collect_, {}));
  ASSERT_EQ(outcomes_.size(), files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(outcomes_[i].path, files[i].path);
    ASSERT_TRUE(outcomes_[i].classification);
    EXPECT_EQ(outcomes_[i].classification->labels.front().label,
              FakeClassifiers::label_of("image " + std::to_string(i)));
  }
}

TEST_F(ClassifyPipelineTest, FailuresStayWithTheirFile) {
  std::vector<ImageFile> files = many(2);
  files.push_back({(folder_.path() / "none").string(), std::nullopt});
  files.push_back(file("bad", FakeClassifiers::bad_image("image_truncated")));
  files.push_back(file("large", std::string(1001, 'x')));
  files.push_back({"folder", Error{ErrorKind::denied, "folder_unreadable", "No."}});
  files.push_back(file("good", "image good"));
  ASSERT_TRUE(classify_files(files, classifiers_.factory(), options_, clock_, collect_, {}));
  std::vector<std::string> codes;
  for (const FileOutcome& outcome : outcomes_) {
    codes.push_back(outcome.classification ? "" : outcome.classification.error().code);
  }
  EXPECT_THAT(codes, testing::ElementsAre("", "", "file_unreadable", "image_truncated", "file_too_large",
                                          "folder_unreadable", ""));
}

TEST_F(ClassifyPipelineTest, APipeThatNobodyWritesToEndsWhenStopped) {
  const std::string pipe = (folder_.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::stop_source stop;
  const auto on_outcome = [&](const FileOutcome&) { stop.request_stop(); };
  ASSERT_TRUE(classify_files({file("a", "image a"), {pipe, std::nullopt}}, classifiers_.factory(), options_, clock_,
                             on_outcome, stop.get_token()));
}

TEST_F(ClassifyPipelineTest, APipeIsReadToItsEnd) {
  const std::string pipe = (folder_.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::jthread writer([&] { std::ofstream(pipe) << "image " << std::flush << "from a pipe"; });
  ASSERT_TRUE(classify_files({{pipe, std::nullopt}}, classifiers_.factory(), options_, clock_, collect_, {}));
  ASSERT_EQ(outcomes_.size(), 1U);
  ASSERT_TRUE(outcomes_[0].classification);
  EXPECT_EQ(outcomes_[0].classification->labels.front().label, FakeClassifiers::label_of("image from a pipe"));
}

TEST_F(ClassifyPipelineTest, AClassifierThatCannotBeMadeEndsIt) {
  const auto broken = []() -> Result<std::unique_ptr<Classifier>> {
    return fail(ErrorKind::invalid, "model_unusable", "It does not load.");
  };
  const auto done = classify_files(many(50), broken, options_, clock_, collect_, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "model_unusable");
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(ClassifyPipelineTest, AStopEndsItEarly) {
  std::stop_source stop;
  const auto stop_after_three = [&](const FileOutcome& outcome) {
    collect_(outcome);
    if (outcomes_.size() == 3) stop.request_stop();
  };
  ASSERT_TRUE(classify_files(many(500), classifiers_.factory(), options_, clock_, stop_after_three, stop.get_token()));
  EXPECT_EQ(outcomes_.size(), 3U);
}

TEST_F(ClassifyPipelineTest, OneFileNeedsOneClassifier) {
  std::atomic<int> made{0};
  const auto counting = [&] {
    ++made;
    return classifiers_.factory()();
  };
  ASSERT_TRUE(classify_files(many(1), counting, options_, clock_, collect_, {}));
  EXPECT_EQ(made, 1);
  EXPECT_EQ(outcomes_.size(), 1U);
}

TEST_F(ClassifyPipelineTest, NoFilesNoOutcomes) {
  ASSERT_TRUE(classify_files({}, classifiers_.factory(), options_, clock_, collect_, {}));
  EXPECT_TRUE(outcomes_.empty());
}

}  // namespace
}  // namespace imgrec::classify_pipeline_test
