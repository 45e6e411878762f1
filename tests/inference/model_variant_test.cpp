#include "inference/models/model_variant.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "inference/input_tensor.hpp"
#include "inference/model_import.hpp"
#include "inference/models/agreement.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/digest.hpp"
#include "tests/inference/encode.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::model_variant_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

Classification answer(const std::vector<std::pair<int, double>>& labels, double infer_ms = 1) {
  Classification classification;
  for (const auto& [index, score] : labels)
    classification.labels.push_back({.index = index, .wnid = {}, .label = {}, .score = score});
  classification.infer_ms = infer_ms;
  return classification;
}

const Classification kF32 = answer({{0, 0.5}, {1, 0.2}, {2, 0.1}, {3, 0.08}, {4, 0.07}, {5, 0.05}}, 8);

TEST(AgreementMeterTest, TheSameAnswersAgree) {
  AgreementMeter meter;
  ASSERT_TRUE(meter.add(kF32, kF32));
  const Agreement mean = meter.mean();
  EXPECT_EQ(mean.top1, 1);
  EXPECT_EQ(mean.top5_overlap, 1);
  EXPECT_EQ(mean.score_error, 0);
  EXPECT_EQ(mean.photos, 1);
  EXPECT_EQ(meter.score_error_max(), 0);
  EXPECT_EQ(meter.time_ratio(), 1);
}

TEST(AgreementMeterTest, CountsBestLabelsOverlapAndTheScoreOfTheBestLabel) {
  AgreementMeter meter;
  // Another best label; one of the five is another; the score of 0 is 0.3 instead of 0.5.
  ASSERT_TRUE(meter.add(kF32, answer({{1, 0.35}, {0, 0.3}, {2, 0.1}, {3, 0.08}, {5, 0.07}, {4, 0.05}}, 2)));
  ASSERT_TRUE(meter.add(kF32, answer({{0, 0.6}, {1, 0.2}, {2, 0.1}, {3, 0.08}, {4, 0.01}, {5, 0.01}}, 2)));
  const Agreement mean = meter.mean();
  EXPECT_DOUBLE_EQ(mean.top1, 0.5);
  EXPECT_DOUBLE_EQ(mean.top5_overlap, 0.9);
  EXPECT_DOUBLE_EQ(mean.score_error, 0.15);
  EXPECT_NEAR(meter.score_error_max(), 0.2, 1e-12);
  EXPECT_DOUBLE_EQ(meter.time_ratio(), 0.25);
}

TEST(AgreementMeterTest, ModelsOfFewerThanFiveClasses) {
  AgreementMeter meter;
  ASSERT_TRUE(meter.add(answer({{0, 0.9}, {1, 0.1}}), answer({{0, 0.8}, {1, 0.2}})));
  EXPECT_EQ(meter.mean().top5_overlap, 1);
}

TEST(AgreementMeterTest, OtherClassesAreAnError) {
  AgreementMeter meter;
  EXPECT_FALSE(meter.add(kF32, answer({{7, 1.0}})));
  EXPECT_FALSE(meter.add(answer({}), kF32));
  EXPECT_EQ(meter.photos(), 0);
}

class StagedVariantTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_file_atomic(dir_.path() / "tiny.onnx", test::encode_onnx(), WriteMode::replace));
    ASSERT_TRUE(write_file_atomic(dir_.path() / "names.txt", "a\nb\nc\n", WriteMode::replace));
    const auto imported = import_model(store_, {.file = dir_.path() / "tiny.onnx",
                                                .name = "tiny",
                                                .profile = PreprocessProfile::tf,
                                                .labels = dir_.path() / "names.txt"});
    ASSERT_TRUE(imported) << imported.error().message;
    entry_ = imported->entry;
  }

  // An IR is not read before an engine loads it: any bytes will do.
  NewVariant int8(const std::string& graph = "graph", const std::string& weights = "weights") {
    EXPECT_TRUE(write_file_atomic(dir_.path() / "new.xml", graph, WriteMode::replace));
    EXPECT_TRUE(write_file_atomic(dir_.path() / "new.bin", weights, WriteMode::replace));
    return {.precision = Precision::int8, .graph = dir_.path() / "new.xml", .made_by = "a test"};
  }
  AgreementMeter measured(int photos = kAgreementPhotosMin, int different = 0) {
    AgreementMeter meter;
    const Classification other = answer({{1, 0.5}, {0, 0.5}});
    for (int i = 0; i < photos; ++i) EXPECT_TRUE(meter.add(kF32, i < different ? other : kF32));
    return meter;
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / "tiny")) names.insert(entry.path().filename().string());
    return names;
  }
  void expect_untouched() {
    const auto now = store_.find("tiny");
    ASSERT_TRUE(now);
    EXPECT_TRUE(now->manifest.variants.empty());
    EXPECT_EQ(files(), (std::set<std::string>{"labels.txt", "model.json", "tiny.onnx"}));
  }

  test::TempDir dir_;
  fs::path folder_ = dir_.path() / "models";
  ModelStore store_{folder_};
  ModelEntry entry_;
};

TEST_F(StagedVariantTest, IsAModelOfItsOwnUntilItIsPublished) {
  {
    const auto staged = StagedVariant::make(entry_, int8());
    ASSERT_TRUE(staged) << staged.error().message;
    const auto found = ModelStore(staged->models()).find("tiny");
    ASSERT_TRUE(found);
    ASSERT_NE(found->manifest.variant(Precision::int8), nullptr);
    EXPECT_FALSE(found->manifest.variant(Precision::int8)->agreement);
    EXPECT_TRUE(ModelStore(staged->models()).verify(*found));
    EXPECT_TRUE(fs::exists(found->folder / "labels.txt"));
    expect_untouched();
    EXPECT_EQ(store_.list()->size(), 3U) << "it is not listed";
  }
  expect_untouched();
  EXPECT_FALSE(fs::exists(folder_ / ".variant-tiny"));
}

TEST_F(StagedVariantTest, PublishesFilesAndFigures) {
  auto staged = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(staged);
  const auto published = staged->publish(measured(50, 1), 0.98, "vnni");
  ASSERT_TRUE(published) << published.error().message;
  const auto found = store_.find("tiny");
  ASSERT_TRUE(found);
  const ModelVariant* variant = found->manifest.variant(Precision::int8);
  ASSERT_NE(variant, nullptr);
  ASSERT_TRUE(variant->agreement);
  EXPECT_DOUBLE_EQ(variant->agreement->top1, 0.98);
  EXPECT_EQ(variant->agreement->photos, 50);
  EXPECT_EQ(variant->agreement->arithmetic, "vnni") << "kept in the manifest";
  EXPECT_EQ(variant->made_by, "a test");
  EXPECT_EQ(variant->files[0].sha256, sha256_hex("graph"));
  EXPECT_EQ(variant->files[1].sha256, sha256_hex("weights"));
  EXPECT_TRUE(store_.verify(*found));
  EXPECT_EQ(found->manifest.sha256, entry_.manifest.sha256);
}

TEST_F(StagedVariantTest, ReplacesTheVariantOfThatPrecisionAlone) {
  ASSERT_TRUE(StagedVariant::make(entry_, {.precision = Precision::bf16})->publish(measured(), 0.98, "vnni"));
  ASSERT_TRUE(StagedVariant::make(*store_.find("tiny"), int8("old"))->publish(measured(), 0.98, "vnni"));
  ASSERT_TRUE(write_file_atomic(folder_ / "tiny" / "int8-left.xml", "of a crash", WriteMode::replace));
  ASSERT_TRUE(StagedVariant::make(*store_.find("tiny"), int8("new"))->publish(measured(), 0.98, "vnni"));
  const auto found = store_.find("tiny");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->manifest.variants.size(), 2U);
  EXPECT_NE(found->manifest.variant(Precision::bf16), nullptr);
  const ModelVariant& int8 = *found->manifest.variant(Precision::int8);
  EXPECT_EQ(int8.files[0].sha256, sha256_hex("new"));
  EXPECT_EQ(files(),
            (std::set<std::string>{"labels.txt", "model.json", "tiny.onnx", int8.files[0].file, int8.files[1].file}));
}

TEST_F(StagedVariantTest, BelowTheBoundItIsRefused) {
  auto staged = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(staged);
  const auto refused = staged->publish(measured(100, 3), 0.98, "vnni");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "agreement_too_low");
  EXPECT_THAT(refused.error().message, HasSubstr("97.0 % of 100 photos"));
  EXPECT_THAT(refused.error().message, HasSubstr("98.0 %"));
  expect_untouched();
}

TEST_F(StagedVariantTest, AFewPhotosAreNoMeasurement) {
  auto staged = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(staged);
  EXPECT_EQ(staged->publish(measured(kAgreementPhotosMin - 1), 0.98, "vnni").error().code, "too_few_photos");
  expect_untouched();
}

TEST_F(StagedVariantTest, AModelThatWasReplacedMeanwhileIsLeftAlone) {
  auto staged = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(staged);
  const auto other = test::encode_onnx({.weights = {1, 1, 1, 1, 1, 1, 1, 1, 1}});
  ASSERT_TRUE(write_file_atomic(dir_.path() / "tiny.onnx", other, WriteMode::replace));
  ASSERT_TRUE(import_model(store_, {.file = dir_.path() / "tiny.onnx",
                                    .name = "tiny",
                                    .profile = PreprocessProfile::tf,
                                    .labels = dir_.path() / "names.txt",
                                    .replace = true}));
  EXPECT_EQ(staged->publish(measured(), 0.98, "vnni").error().code, "model_changed");
  expect_untouched();
}

TEST_F(StagedVariantTest, OneAtATime) {
  std::optional<Result<StagedVariant>> first = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(*first);
  const auto second = StagedVariant::make(entry_, int8());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "model_busy");
  EXPECT_TRUE(fs::exists((*first)->models())) << "the second one does not clean up after the first";
  first.reset();
  EXPECT_TRUE(StagedVariant::make(entry_, int8()));
}

TEST_F(StagedVariantTest, WhatAKilledProcessLeftIsTakenOver) {
  fs::create_directories(folder_ / ".variant-tiny" / "tiny" / "deeper");
  auto staged = StagedVariant::make(entry_, int8());
  ASSERT_TRUE(staged) << staged.error().message;
  ASSERT_TRUE(staged->publish(measured(), 0.98, "vnni"));
}

TEST_F(StagedVariantTest, WrongFilesAreErrors) {
  const auto code = [&](const NewVariant& variant) { return StagedVariant::make(entry_, variant).error().code; };
  EXPECT_EQ(code({.precision = Precision::f32}), "bad_variant");
  EXPECT_EQ(code({.precision = Precision::int8}), "bad_variant");
  EXPECT_EQ(code({.precision = Precision::int8, .graph = "model.onnx"}), "bad_variant");
  EXPECT_EQ(code({.precision = Precision::bf16, .graph = int8().graph}), "bad_variant");
  fs::remove(dir_.path() / "new.bin");
  EXPECT_EQ(StagedVariant::make(entry_, {.precision = Precision::int8, .graph = dir_.path() / "new.xml"}).error().kind,
            ErrorKind::not_found);
  ModelEntry absent = entry_;
  absent.folder.clear();
  EXPECT_EQ(StagedVariant::make(absent, int8()).error().code, "no_such_model");
  expect_untouched();
}

TEST(InputTensorsTest, AreWhatTheNetworkGets) {
  ModelManifest manifest;
  manifest.profile = PreprocessProfile::tf;
  manifest.input_size = 8;
  InputTensors tensors(manifest, {});
  Image image;
  image.reset(20, 10);
  std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{255});
  const auto white = tensors.of(test::encode_png(image));
  ASSERT_TRUE(white) << white.error().message;
  ASSERT_EQ(white->size(), 3U * 8 * 8);
  EXPECT_EQ(tensors.size().width, 8);
  for (const float value : *white) ASSERT_EQ(value, 1.0F);
  EXPECT_FALSE(tensors.of("no image"));
}

}  // namespace
}  // namespace imgrec::model_variant_test
