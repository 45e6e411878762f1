#include "inference/classifier.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "inference/classifier_factory.hpp"
#include "inference/engine/engine_openvino.hpp"
#include "inference/engine/onnx_file.hpp"
#include "inference/model_import.hpp"
#include "lib/base/file.hpp"
#include "lib/job/tensor.hpp"
#include "tests/inference/encode.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::classifier_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<ClassName> kThree = {{"n1", "red"}, {"n2", "green"}, {"n3", "blue"}};

TEST(BestLabels, SoftmaxOfLogitsBestFirst) {
  const std::vector<float> logits = {1.0F, 3.0F, 2.0F};
  const auto labels = best_labels(logits, OutputKind::logits, kThree, 2);
  ASSERT_TRUE(labels);
  ASSERT_EQ(labels->size(), 2U);
  const double total = std::exp(-2.0) + 1 + std::exp(-1.0);
  EXPECT_EQ((*labels)[0].index, 1);
  EXPECT_EQ((*labels)[0].label, "green");
  EXPECT_EQ((*labels)[0].wnid, "n2");
  EXPECT_NEAR((*labels)[0].score, 1 / total, 1e-12);
  EXPECT_EQ((*labels)[1].index, 2);
}

TEST(BestLabels, LargeLogitsDoNotOverflowAndTiesGoByIndex) {
  const auto labels = best_labels(std::vector<float>{1000, 1000, -1000}, OutputKind::logits, kThree, 9);
  ASSERT_TRUE(labels);
  ASSERT_EQ(labels->size(), 3U);
  EXPECT_EQ((*labels)[0].index, 0);
  EXPECT_NEAR((*labels)[0].score, 0.5, 1e-12);
  EXPECT_EQ((*labels)[2].score, 0);
}

TEST(BestLabels, ProbabilitiesStayAsTheyAre) {
  const auto labels = best_labels(std::vector<float>{0.25F, 0.5F, 0.25F}, OutputKind::probabilities, kThree, 1);
  ASSERT_TRUE(labels);
  EXPECT_EQ((*labels)[0].score, 0.5);
}

TEST(BestLabels, NumbersThatAreNoneAreAnError) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    EXPECT_EQ(best_labels(std::vector<float>{0, bad, 0}, OutputKind::logits, kThree, 1).error().code, "model_unusable");
  }
  EXPECT_EQ(best_labels(std::vector<float>{0, 0}, OutputKind::logits, kThree, 1).error().code, "model_unusable");
}

TEST(Labels, ThousandClassesInOrder) {
  const auto names = imagenet_class_names(ImagenetNames::names),
             reference = imagenet_class_names(ImagenetNames::reference);
  ASSERT_EQ(names.size(), 1000U);
  ASSERT_EQ(reference.size(), 1000U);
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_THAT(names[i].wnid, testing::MatchesRegex("n[0-9]{8}"));
    EXPECT_EQ(names[i].wnid, reference[i].wnid);
    EXPECT_FALSE(names[i].name.empty() || reference[i].name.empty()) << i;
    if (i > 0) {
      EXPECT_LT(names[i - 1].wnid, names[i].wnid) << "WordNet order";
    }
  }
  EXPECT_EQ(names[0].name, "tench");
  EXPECT_EQ(names[354].name, "Arabian camel");
  EXPECT_EQ(reference[354].name, "dromedary");
  EXPECT_EQ(reference[916].name, "website");
}

TEST(Labels, FromAFile) {
  const test::TempDir dir;
  const auto file = dir.path() / "labels.txt";
  ASSERT_TRUE(write_file_atomic(file, "eins\r\nzwei\n drei ", WriteMode::replace));
  EXPECT_THAT(*read_label_file(file), ElementsAre("eins", "zwei", "drei"));
  for (const char* bad : {"", "\n", "eins\n\ndrei\n", "\xFF\xFE\n"}) {
    ASSERT_TRUE(write_file_atomic(file, bad, WriteMode::replace));
    EXPECT_EQ(read_label_file(file).error().code, "bad_labels");
  }
  EXPECT_EQ(class_names_for((dir.path() / "none").string(), "imagenet-1k", {}).error().code, "bad_labels");
  EXPECT_EQ(class_names_for("reference", "labels.txt", dir.path()).error().code, "bad_labels");
}

TEST(OnnxFile, IsReadWithoutAnEngine) {
  const auto file =
      inspect_onnx(test::encode_onnx({.opset = 12, .pool = "GlobalAveragePool", .weights = {1, 2, 3, 4, 5, 6}}));
  ASSERT_TRUE(file) << describe(file.error());
  EXPECT_EQ(file->opset, 12);
  EXPECT_EQ(file->parameters, 8U);
  EXPECT_THAT(file->operators, ElementsAre("Flatten", "Gemm", "GlobalAveragePool"));
}

Result<std::unique_ptr<Engine>> opencv_engine(ByteView onnx) {
  return make_opencv_engine(onnx, {.any_size = true});
}

TEST(Engine, RefusesWhatIsNoModelWithoutCrashing) {
  const std::string model = test::encode_onnx();
  for (std::size_t size = 0; size + 20 < model.size(); size += 3) {
    const auto engine = opencv_engine(std::string_view(model).substr(0, size));
    ASSERT_FALSE(engine) << size;
    EXPECT_EQ(engine.error().code, "model_unusable");
  }
  EXPECT_THAT(opencv_engine("<html>Not found</html>").error().message, HasSubstr("no complete ONNX model"));
  std::string short_weights = model;
  const std::size_t at = short_weights.find(std::string("\x08\x03\x08\x03\x10\x01\x42\x01w", 9));  // dims 3, 3
  ASSERT_NE(at, std::string::npos);
  short_weights[at + 1] = 100;
  EXPECT_THAT(opencv_engine(short_weights).error().message, HasSubstr("does not match its shape"));
}

TEST(Engine, SaysWhenAnOperatorOrAnOpsetIsUnknown) {
  const auto unknown = opencv_engine(test::encode_onnx({.pool = "TeleportPool"}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "model_unusable");
  EXPECT_THAT(unknown.error().message, HasSubstr("operator"));
  const auto newer = opencv_engine(test::encode_onnx({.opset = 21, .pool = "TeleportPool"}));
  ASSERT_FALSE(newer);
  EXPECT_THAT(newer.error().message, testing::AllOf(HasSubstr("opset 21"), HasSubstr("older opset")));
}

ClassifierParts tiny_parts(PreprocessProfile profile) {
  ClassifierParts parts;
  parts.manifest.name = "tiny";
  parts.manifest.profile = profile;
  parts.classes = std::make_shared<const std::vector<ClassName>>(kThree);
  return parts;
}

TEST(Classifier, GoesFromBytesToLabels) {
  const auto classifier = make_classifier(tiny_parts(PreprocessProfile::tf), *opencv_engine(test::encode_onnx()));
  Image green;
  green.reset(300, 200);
  for (std::size_t i = 1; i < green.rgb.size(); i += 3) green.rgb[i] = 250;
  const auto answer = classifier->classify(test::encode_png(green), 3);
  ASSERT_TRUE(answer) << describe(answer.error());
  EXPECT_EQ(answer->labels[0].label, "green");
  EXPECT_GT(answer->decode_ms, 0);
  EXPECT_GT(answer->preprocess_ms, 0);
  EXPECT_GT(answer->infer_ms, 0);
  const auto error = classifier->classify("no image", 3);
  EXPECT_EQ(error.error().code, "unsupported_format");
  Image blue;
  blue.reset(50, 60);
  for (std::size_t i = 2; i < blue.rgb.size(); i += 3) blue.rgb[i] = 250;
  EXPECT_EQ(classifier->classify(test::encode_png(blue), 1)->labels[0].label, "blue");
}

// What an image of one colour gives after the preparation: a plane of ones for that colour, of zeros for the others.
std::string tensor_of(int height, int width, std::size_t colour) {
  std::vector<float> numbers(3 * static_cast<std::size_t>(height * width), 0.0F);
  const auto plane = static_cast<std::ptrdiff_t>(height * width);
  std::fill_n(numbers.begin() + static_cast<std::ptrdiff_t>(colour) * plane, plane, 1.0F);
  std::string object = tensor_header(height, width);
  object.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  return object;
}

TEST(Classifier, TakesTheNetworksInputAsATensor) {
  const auto fixed = make_classifier(tiny_parts(PreprocessProfile::tf), *opencv_engine(test::encode_onnx()));
  const auto answer = fixed->classify(tensor_of(224, 224, 1), 3);
  ASSERT_TRUE(answer) << describe(answer.error());
  EXPECT_EQ(answer->labels[0].label, "green");
  EXPECT_NEAR(answer->labels[0].score, std::exp(1.0) / (std::exp(1.0) + 2), 1e-5);
  const auto other_size = fixed->classify(tensor_of(223, 224, 1), 3);
  ASSERT_FALSE(other_size);
  EXPECT_EQ(other_size.error().code, "bad_tensor");
  EXPECT_EQ(other_size.error().kind, ErrorKind::invalid);
  EXPECT_EQ(fixed->classify("imgrec-tensor 1 f32 3 224 224\ntoo short", 3).error().code, "bad_tensor");
  EXPECT_EQ(fixed->classify(tensor_of(224, 224, 2), 1)->labels[0].label, "blue");

  const auto any = make_classifier(tiny_parts(PreprocessProfile::as_is), *opencv_engine(test::encode_onnx()));
  EXPECT_EQ(any->classify(tensor_of(3, 5, 0), 1)->labels[0].label, "red");
  EXPECT_EQ(any->classify(tensor_of(2048, 1024, 0), 1).error().code, "image_too_large");
}

TEST(Classifier, ATensorThatDrivesTheNetworkToNoNumbersIsTheSendersFault) {
  const std::vector<float> weights = {NAN, NAN, NAN, 0, 1, 0, 0, 0, 1};
  const auto classifier =
      make_classifier(tiny_parts(PreprocessProfile::tf), *opencv_engine(test::encode_onnx({.weights = weights})));
  const auto answer = classifier->classify(tensor_of(224, 224, 1), 1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "bad_tensor");
}

TEST(Classifier, AsIsFollowsTheImagesSize) {
  const auto classifier = make_classifier(tiny_parts(PreprocessProfile::as_is), *opencv_engine(test::encode_onnx()));
  for (const auto& [width, height] : {std::pair{64, 64}, {3, 5}, {200, 100}, {64, 64}}) {
    Image red;
    red.reset(width, height);
    for (std::size_t i = 0; i < red.rgb.size(); i += 3) red.rgb[i] = 255;
    const auto answer = classifier->classify(test::encode_png(red), 1);
    ASSERT_TRUE(answer) << describe(answer.error());
    EXPECT_EQ(answer->labels[0].label, "red");
    EXPECT_NEAR(answer->labels[0].score, std::exp(1.0) / (std::exp(1.0) + 2), 1e-5);
  }
}

// What the worker does with an error depends on whose it is: the image's is stored for good, the engine's is not.
TEST(Classifier, ANetworkThatAnswersNoNumbersIsTheEnginesFault) {
  const std::vector<float> weights = {NAN, NAN, NAN, 0, 1, 0, 0, 0, 1};
  const auto classifier =
      make_classifier(tiny_parts(PreprocessProfile::tf), *opencv_engine(test::encode_onnx({.weights = weights})));
  const auto answer = classifier->classify(test::encode_png(test::gradient(9, 9)), 1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::bug);
  EXPECT_EQ(answer.error().code, "engine_failed");
}

class FailingEngine final : public Engine {
 public:
  explicit FailingEngine(Error error) : error_(std::move(error)) {}
  std::span<float> input(InputSize size) override {
    input_.resize(size.floats());
    return input_;
  }
  Result<std::span<const float>> run() override { return fail(error_); }
  std::string_view name() const override { return "failing"; }
  std::string_view precision() const override { return "f32"; }

 private:
  Error error_;
  std::vector<float> input_;
};

// Nothing is written beyond its end.
TEST(Classifier, AnEngineWithoutRoomForTheImageIsABug) {
  class Short final : public Engine {
   public:
    std::span<float> input(InputSize size) override {
      input_.resize(size.floats() - 1);
      return input_;
    }
    Result<std::span<const float>> run() override { return std::span<const float>(input_).first(3); }
    std::string_view name() const override { return "short"; }
    std::string_view precision() const override { return "f32"; }

   private:
    std::vector<float> input_;
  };
  const auto answer = make_classifier(tiny_parts(PreprocessProfile::tf), std::make_unique<Short>())
                          ->classify(test::encode_png(test::gradient(9, 9)), 1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::bug);
  EXPECT_EQ(answer.error().code, "wrong_input");
}

TEST(Classifier, AnEngineThatCannotRunIsNeverTheFaultOfAnImageOfTheOnlySizeItTakes) {
  const Error refused{ErrorKind::invalid, "model_unusable", "The engine refuses the model."};
  const Error no_memory{ErrorKind::transient, "out_of_memory", "There is not enough memory to run the model."};
  const std::string image = test::encode_png(test::gradient(9, 9));
  const auto error_of = [&](PreprocessProfile profile, const Error& error) {
    const auto answer =
        make_classifier(tiny_parts(profile), std::make_unique<FailingEngine>(error))->classify(image, 1);
    return answer ? Error{} : answer.error();
  };
  EXPECT_EQ(error_of(PreprocessProfile::tf, refused).kind, ErrorKind::bug);
  EXPECT_EQ(error_of(PreprocessProfile::tf, refused).code, "engine_failed");
  EXPECT_EQ(error_of(PreprocessProfile::tf, no_memory).code, "out_of_memory");
  EXPECT_EQ(error_of(PreprocessProfile::as_is, refused).code, "model_unusable")
      << "it may not run on this image's size";
}

TEST(ClassifierFactory, MakesOnePerThreadFromTheStore) {
  const test::TempDir dir;
  const auto onnx = dir.path() / "tiny.onnx", labels = dir.path() / "colours.txt";
  ASSERT_TRUE(write_file_atomic(onnx, test::encode_onnx(), WriteMode::replace));
  ASSERT_TRUE(write_file_atomic(labels, "rot\ngrün\nblau\n", WriteMode::replace));
  ModelStore store(dir.path() / "models");
  ASSERT_TRUE(import_model(store, {.file = onnx, .name = "tiny", .profile = PreprocessProfile::tf, .labels = labels}));
  const auto factory = make_classifier_factory({.model_dir = dir.path() / "models", .model = "tiny"});
  ASSERT_TRUE(factory) << describe(factory.error());
  const auto first = (*factory)(), second = (*factory)();
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->get(), second->get());
  EXPECT_EQ((*first)->model().engine, has_openvino() ? "openvino" : "opencv");
  EXPECT_EQ((*first)->model().sha256.size(), 64U);
  Image blue;
  blue.reset(50, 60);
  for (std::size_t i = 2; i < blue.rgb.size(); i += 3) blue.rgb[i] = 250;
  for (const auto* classifier : {&first, &second}) {
    EXPECT_EQ((**classifier)->classify(test::encode_png(blue), 1)->labels[0].label, "blau");
  }
  // Other names; too few; none for this model.
  ASSERT_TRUE(write_file_atomic(labels, "r\ng\nb\n", WriteMode::replace));
  EXPECT_TRUE(
      make_classifier_factory({.model_dir = dir.path() / "models", .model = "tiny", .labels = labels.string()}));
  ASSERT_TRUE(write_file_atomic(labels, "r\ng\n", WriteMode::replace));
  const auto few =
      make_classifier_factory({.model_dir = dir.path() / "models", .model = "tiny", .labels = labels.string()});
  EXPECT_EQ(few.error().code, "bad_labels");
  const auto missing = make_classifier_factory({.model_dir = dir.path() / "models", .model = "resnet18"});
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("imgrec model pull resnet18"));
  // A damaged file is found when the factory is made.
  ASSERT_TRUE(write_file_atomic(dir.path() / "models" / "tiny" / "tiny.onnx", "x", WriteMode::replace));
  EXPECT_EQ(make_classifier_factory({.model_dir = dir.path() / "models", .model = "tiny"}).error().code,
            "model_damaged");
}

}  // namespace
}  // namespace imgrec::classifier_test
