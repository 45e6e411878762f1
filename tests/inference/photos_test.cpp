// Real photos through real weights: our decoding, resizing and engine against the reference answers beside the photos.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "inference/classifier.hpp"
#include "inference/decode/decode.hpp"
#include "inference/engine/engine_openvino.hpp"
#include "inference/preprocess/preprocess.hpp"
#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "tests/inference/named_engine.hpp"
#include "tests/support/emulator.hpp"
#include "tests/support/long_run.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::photos_test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Classifier> classifier_of(const fs::path& weights, PreprocessProfile profile,
                                          const std::string& engine_name = "opencv") {
  ClassifierParts parts;
  parts.manifest.profile = profile;
  parts.classes = std::make_shared<const std::vector<ClassName>>(imagenet_class_names(ImagenetNames::names));
  auto engine = test::named_engine(engine_name, weights, {224, 224}, /*any_size=*/profile == PreprocessProfile::as_is);
  if (!engine) throw std::runtime_error(describe(engine.error()));
  return make_classifier(parts, *std::move(engine));
}

Result<Classification> classify(Classifier& classifier, const fs::path& file) {
  const auto bytes = read_file(file, 20 * kMiB);
  if (!bytes) return fail(bytes.error());
  return classifier.classify(*bytes, 5);
}

// "test_0" → its true class.
std::map<std::string, int> truth_of(const fs::path& folder) {
  std::map<std::string, int> truth;
  std::ifstream in(folder / "truth.csv");
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto columns = split(line, ',');
    truth[std::string(columns[0])] = std::stoi(std::string(columns[1]));
  }
  return truth;
}

// Of how many photos one is taken. OpenCV takes ten times as long as OpenVINO: where both are built in, it has a
// tenth of the photos in the everyday run. In an emulator a photo takes seconds.
int step_of(const std::string& engine) {
  const bool slow = engine == "opencv" && has_openvino() && !test::long_run();
  return slow || test::emulator() ? 10 : 1;
}

struct Score {
  int photos = 0, same = 0, right = 0;
  // Of the best label's probability, where the label is the same.
  double largest_difference = 0, all_differences = 0;
};

Score measure(Classifier& classifier, const fs::path& folder, const std::string& model, int step) {
  const auto reference = nlohmann::json::parse(std::ifstream(folder / ("top5." + model + ".json")));
  Score score;
  int number = 0;
  for (const auto& [name, truth] : truth_of(folder)) {
    if (number++ % step != 0) continue;
    const auto answer = classify(classifier, folder / (name + ".JPEG"));
    EXPECT_TRUE(answer) << name << " " << describe(answer.error());
    if (!answer) continue;
    ++score.photos;
    score.right += answer->labels[0].index == truth ? 1 : 0;
    const auto& best = reference[name][0];
    if (answer->labels[0].index != best[0].get<int>()) continue;
    ++score.same;
    const double difference = std::abs(answer->labels[0].score - best[2].get<double>());
    score.largest_difference = std::max(score.largest_difference, difference);
    score.all_differences += difference;
  }
  return score;
}

class PhotosOf : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!test::can_run(GetParam())) GTEST_SKIP() << GetParam() << " is not to be had here";
  }

  void expect_answers(const fs::path& weights, PreprocessProfile profile, const std::string& model, int right_min) {
    IMGREC_NEED_SHARED(photos, test::shared_path("photos/test"));
    const int step = step_of(GetParam());
    const Score score = measure(*classifier_of(weights, profile, GetParam()), photos, model, step);
    const bool exact = std::string(GetParam()) != "openvino-bf16";
    EXPECT_EQ(score.photos, 100 / step);
    EXPECT_GE(score.same, 96.0 / step);
    if (step == 1) {
      EXPECT_GE(score.right, right_min);
    }
    // Decoding and resizing are bit for bit those of the reference. In f32 only the order of additions in the engine
    // differs; bf16 keeps 8 bits of each number.
    if (exact) {
      EXPECT_LT(score.largest_difference, 1e-3);
    } else if (step == 1) {  // ten are too few for an average
      EXPECT_LT(score.all_differences / score.same, 0.03);
    }
    std::printf("%s in %s: %d as the reference, %d true, score within %.5f, %.5f on average\n", model.c_str(),
                GetParam(), score.same, score.right, score.largest_difference, score.all_differences / score.same);
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, PhotosOf, testing::Values("opencv", "openvino-f32", "openvino-bf16"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(PhotosOf, Resnet18) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/resnet18-pqf.onnx"));
  expect_answers(weights, PreprocessProfile::imagenet, "resnet18-pqf", 76);
}

TEST_P(PhotosOf, Mobilenet) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  expect_answers(weights, PreprocessProfile::tf, "mobilenetv2-tf2", 92);
}

// Made by `./dev model efficientnet-lite0` in the model folder that IMGREC_TEST_MODELS names.
std::optional<fs::path> efficientnet_weights() {
  const char* models = std::getenv("IMGREC_TEST_MODELS");
  if (models == nullptr) return std::nullopt;
  const auto file = fs::path(models) / "efficientnet-lite0" / "efficientnet-lite0.onnx";
  return fs::exists(file) ? std::optional(file) : std::nullopt;
}

TEST_P(PhotosOf, EfficientnetLite0) {
  IMGREC_NEED_SHARED(weights, efficientnet_weights());
  expect_answers(weights, PreprocessProfile::tf, "efficientnet-lite0", 87);
}

// Made by `./dev quantize efficientnet-lite0` in the same folder.
TEST(Photos, EfficientnetLite0InInt8) {
  IMGREC_NEED_SHARED(weights, efficientnet_weights());
  IMGREC_NEED_SHARED(photos, test::shared_path("photos/test"));
  const fs::path graph = weights.parent_path() / "int8.xml";
  if (!has_openvino() || !fs::exists(graph)) GTEST_SKIP() << "no int8 variant in the tests' model folder";
  const int step = step_of("openvino-int8");
  const Score score =
      measure(*classifier_of(graph, PreprocessProfile::tf, "openvino-int8"), photos, "efficientnet-lite0", step);
  EXPECT_EQ(score.photos, 100 / step);
  EXPECT_GE(score.same, 97.0 / step);
  if (step == 1) {
    EXPECT_GE(score.right, 88);
  }
}

TEST_P(PhotosOf, The64PixelWorkloadAsItIs) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/resnet18-pqf.onnx"));
  IMGREC_NEED_SHARED(folder, test::shared_path("photos/imagenet-100"));
  const auto classifier = classifier_of(weights, PreprocessProfile::as_is, GetParam());
  const int step = step_of(GetParam());
  int photos = 0, number = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".JPEG" || number++ % step != 0) continue;
    const auto answer = classify(*classifier, entry.path());
    EXPECT_TRUE(answer) << entry.path() << " " << describe(answer.error());
    ++photos;
  }
  EXPECT_EQ(photos, 100 / step);
}

// The engines' logits for one input: OpenCV is the reference.
void expect_same_logits(const fs::path& weights, PreprocessProfile profile) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  IMGREC_NEED_SHARED(photos, test::shared_path("photos/test"));
  const InputSize size{224, 224};
  auto reference = test::named_engine("opencv", weights, size, false);
  auto fast = test::named_engine("openvino-f32", weights, size, false);
  ASSERT_TRUE(reference && fast);
  ImageDecoder decoder{ImageConfig{}};
  Preprocessor preprocessor({profile, size.width});
  double largest = 0;
  for (int i = 0; i < 100; i += test::emulator() ? 50 : 5) {
    const auto bytes = read_file(photos / ("test_" + std::to_string(i) + ".JPEG"), 20 * kMiB);
    ASSERT_TRUE(bytes);
    const auto image = decoder.decode(*bytes);
    ASSERT_TRUE(image);
    preprocessor.run(**image, (*reference)->input(size));
    preprocessor.run(**image, (*fast)->input(size));
    const auto wanted = (*reference)->run(), found = (*fast)->run();
    ASSERT_TRUE(wanted && found);
    ASSERT_EQ(found->size(), 1000U);
    ASSERT_EQ(wanted->size(), 1000U);
    for (std::size_t k = 0; k < found->size(); ++k) {
      largest = std::max(largest, std::abs(static_cast<double>((*found)[k]) - static_cast<double>((*wanted)[k])));
    }
  }
  EXPECT_LT(largest, 1e-3);
  EXPECT_GT(largest, 0) << "two engines that add up in one order?";
}

TEST(Logits, OfResnet18AreThoseOfOpencv) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/resnet18-pqf.onnx"));
  expect_same_logits(weights, PreprocessProfile::imagenet);
}

TEST(Logits, OfMobilenetAreThoseOfOpencv) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  expect_same_logits(weights, PreprocessProfile::tf);
}

TEST(Logits, OfEfficientnetLite0AreThoseOfOpencv) {
  IMGREC_NEED_SHARED(weights, efficientnet_weights());
  expect_same_logits(weights, PreprocessProfile::tf);
}

// Nine encodings of one photo, stored in eight ways and once without saying how (which is upright).
TEST(Photos, TheSameWhicheverWayTheCameraWasHeld) {
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata("exif-orientation"));
  ImageDecoder decoder{ImageConfig{}};
  for (const std::string set : {"Landscape", "Portrait"}) {
    Image first;
    for (int orientation = 0; orientation <= 8; ++orientation) {
      const auto bytes = read_file(folder / (set + "_" + std::to_string(orientation) + ".jpg"), 20 * kMiB);
      ASSERT_TRUE(bytes);
      const auto image = decoder.decode(*bytes);
      ASSERT_TRUE(image) << describe(image.error());
      if (orientation == 0) first = **image;
      ASSERT_EQ((*image)->width, first.width);
      ASSERT_EQ((*image)->height, first.height);
      double difference = 0;
      for (std::size_t i = 0; i < first.rgb.size(); ++i) difference += std::abs(first.rgb[i] - (*image)->rgb[i]);
      EXPECT_LT(difference / static_cast<double>(first.rgb.size()), 6)
          << set << orientation << ": the encodings differ by up to 4";
    }
  }
}

void expect_one_answer(const fs::path& weights, const std::vector<std::string>& sets) {
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata("exif-orientation"));
  const auto classifier = classifier_of(weights, PreprocessProfile::tf);
  for (const std::string& set : sets) {
    std::set<int> answers;
    for (int orientation = 0; orientation <= 8; ++orientation) {
      const auto answer = classify(*classifier, folder / (set + "_" + std::to_string(orientation) + ".jpg"));
      ASSERT_TRUE(answer) << describe(answer.error());
      answers.insert(answer->labels[0].index);
    }
    EXPECT_EQ(answers.size(), 1U) << set;
  }
}

TEST(Photos, OneAnswerForAllOrientations) {
  IMGREC_NEED_SHARED(weights, efficientnet_weights());
  expect_one_answer(weights, {"Landscape", "Portrait"});
}

// Between two labels on the landscape (valley, cliff), where the encodings' small differences decide: in Pillow as
// well.
TEST(Photos, OneAnswerForAllOrientationsOfThePortrait) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  expect_one_answer(weights, {"Portrait"});
}

}  // namespace
}  // namespace imgrec::photos_test
