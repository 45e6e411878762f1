// What a model declares is obeyed, the same in both engines, or refused by name.
#include "inference/model_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "inference/engine/engine_openvino.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/file.hpp"
#include "tests/inference/encode.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::model_import_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class ModelImportTest : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(write_file_atomic(dir_.path() / name, bytes, WriteMode::replace));
    return dir_.path() / name;
  }
  ImportOptions options_for(const std::string& bytes, PreprocessProfile profile = PreprocessProfile::raw) {
    return {.file = write("m.onnx", bytes),
            .name = "tiny",
            .profile = profile,
            .labels = write("names.txt", "red\ngreen\nblue\n"),
            .replace = true};
  }
  ImportOptions options(const test::TinyOnnx& model, PreprocessProfile profile = PreprocessProfile::raw) {
    return options_for(test::encode_onnx(model), profile);
  }
  Result<ImportedModel> import(const ImportOptions& wanted) { return import_model(store_, wanted); }
  // Of the error, or "installed".
  std::string refusal(const ImportOptions& wanted) {
    const auto imported = import(wanted);
    return imported ? "installed" : imported.error().message;
  }

  // The scores of one colour, in the order of the classes, by each engine that can be had.
  std::vector<std::vector<double>> scores(std::array<std::uint8_t, 3> colour) {
    Image image;
    image.reset(300, 200);
    for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = colour[i % 3];
    std::vector<std::vector<double>> all;
    for (const char* engine : {"opencv", "openvino"}) {
      if (std::string(engine) == "openvino" && !has_openvino()) continue;
      const auto factory =
          make_classifier_factory({.model_dir = folder_, .model = "tiny", .engine = engine, .precision = "f32"});
      if (!factory) {
        ADD_FAILURE() << engine << " " << describe(factory.error());
        continue;
      }
      const auto classifier = (*factory)();
      const auto answer = (*classifier)->classify(test::encode_png(image), 3);
      if (!answer) {
        ADD_FAILURE() << engine << " " << describe(answer.error());
        continue;
      }
      std::vector<double> ordered(answer->labels.size());
      for (const Label& label : answer->labels) ordered.at(static_cast<std::size_t>(label.index)) = label.score;
      all.push_back(ordered);
    }
    return all;
  }
  // In every engine; logits are those of the tiny network: what the planes are on average.
  void expect_logits(std::array<std::uint8_t, 3> colour, std::array<double, 3> logits) {
    const double total = std::exp(logits[0]) + std::exp(logits[1]) + std::exp(logits[2]);
    for (const auto& found : scores(colour)) {
      ASSERT_EQ(found.size(), 3U);
      for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(found[c], std::exp(logits[c]) / total, 1e-4) << c;
    }
  }

  test::TempDir dir_;
  fs::path folder_ = dir_.path() / "models";
  ModelStore store_{folder_};
};

TEST_F(ModelImportTest, TheSizeThatIsDeclaredIsTheOneThatIsGiven) {
  for (const int side : {224, 299, 380}) {
    const auto imported = import(options({.input = {1, 3, side, side}}));
    ASSERT_TRUE(imported) << describe(imported.error());
    EXPECT_EQ(imported->entry.manifest.input_size, side);
    EXPECT_EQ(store_.find("tiny")->manifest.input_size, side);
    expect_logits({3, 2, 1}, {3, 2, 1});
  }
  ImportOptions other = options({.input = {1, 3, 299, 299}});
  other.input_size = 224;
  EXPECT_THAT(refusal(other), AllOf(HasSubstr("299 x 299"), HasSubstr("224 x 224")));
  other.input_size = 299;
  EXPECT_EQ(refusal(other), "installed");
}

TEST_F(ModelImportTest, AnySizeIsTheOneThatIsAskedFor) {
  ImportOptions wanted = options({.input = {-1, 3, -1, -1}});
  EXPECT_EQ(import(wanted)->entry.manifest.input_size, 224);
  wanted.input_size = 96;
  EXPECT_EQ(import(wanted)->entry.manifest.input_size, 96);
  expect_logits({1, 2, 3}, {1, 2, 3});
}

TEST_F(ModelImportTest, ChannelsLast) {
  for (const std::int64_t batch : {1, -1}) {
    const auto imported = import(options({.input = {batch, 160, 160, 3}}));
    ASSERT_TRUE(imported) << describe(imported.error());
    EXPECT_EQ(imported->entry.manifest.layout, Layout::nhwc);
    EXPECT_EQ(imported->entry.manifest.input_size, 160);
    expect_logits({2, 0, 1}, {2, 0, 1});
  }
}

TEST_F(ModelImportTest, BytesAreGivenAsTheyAre) {
  for (const bool last : {false, true}) {
    test::TinyOnnx model{.element = 2};
    if (last) model.input = {1, 224, 224, 3};
    // Whatever the profile: it says how values are scaled, and these are not.
    for (const auto profile : {PreprocessProfile::raw, PreprocessProfile::imagenet}) {
      const auto imported = import(options(model, profile));
      ASSERT_TRUE(imported) << describe(imported.error());
      EXPECT_EQ(imported->entry.manifest.element, ElementType::uint8);
      expect_logits({200, 201, 203}, {200, 201, 203});
    }
  }
  ImportOptions scaled = options({.element = 2});
  scaled.scaling = ColourScaling{.mean = {}, .scale = {255, 255, 255}};
  EXPECT_THAT(refusal(scaled), HasSubstr("uint8"));
}

TEST_F(ModelImportTest, ValuesAsTheProfileOrTheOptionsSay) {
  ASSERT_TRUE(import(options({}, PreprocessProfile::zero_one)));
  expect_logits({255, 0, 51}, {1, 0, 0.2});
  ASSERT_TRUE(import(options({}, PreprocessProfile::tf)));
  expect_logits({255, 0, 255}, {1, -1, 1});
  ImportOptions by_hand = options({});
  by_hand.scaling = ColourScaling{.mean = {10, 20, 30}, .scale = {10, 20, 50}};
  ASSERT_TRUE(import(by_hand));
  expect_logits({20, 0, 130}, {1, -1, 2});
  // In the order of the network's channels.
  by_hand.channels = ChannelOrder::bgr;
  ASSERT_TRUE(import(by_hand));
  EXPECT_EQ(store_.find("tiny")->manifest.channels, ChannelOrder::bgr);
  expect_logits({130, 0, 20}, {1, -1, 2});
  by_hand.scaling->scale[1] = 0;
  EXPECT_THAT(refusal(by_hand), HasSubstr("scale"));
  by_hand = options({});
  by_hand.crop = 7;
  EXPECT_THAT(refusal(by_hand), HasSubstr("crop"));
}

TEST_F(ModelImportTest, AnySizeAsItIsWithColoursOfItsOwn) {
  ImportOptions wanted = options({.input = {1, 3, -1, -1}}, PreprocessProfile::as_is);
  ASSERT_EQ(refusal(wanted), "installed");
  expect_logits({255, 51, 0}, {1, 0.2, 0});
  wanted.channels = ChannelOrder::bgr;
  wanted.scaling = ColourScaling{.mean = {1, 2, 3}, .scale = {1, 1, 2}};
  ASSERT_EQ(refusal(wanted), "installed");
  expect_logits({5, 3, 1}, {0, 1, 1});
}

TEST_F(ModelImportTest, AsItIsWhereTheNetworkRunsAtOtherSizesThanItDeclares) {
  // The global pool takes any size.
  EXPECT_EQ(refusal(options({.input = {1, 3, 224, 224}}, PreprocessProfile::as_is)), "installed");
  expect_logits({255, 51, 0}, {1, 0.2, 0});
  // Without it the last layer has as many weights as one pixel has colours.
  EXPECT_THAT(refusal(options({.pool = "Relu", .input = {1, 3, 1, 1}}, PreprocessProfile::as_is)),
              AllOf(HasSubstr("64 x 64"), HasSubstr("zero-one")));
}

TEST_F(ModelImportTest, WhatTheNetworkEndsInIsRecognised) {
  for (const char* ending : {"Softmax", "Sigmoid"}) {
    const auto imported = import(options({.ending = ending}));
    ASSERT_TRUE(imported) << describe(imported.error());
    EXPECT_EQ(imported->entry.manifest.output, OutputKind::probabilities) << ending;
  }
  ASSERT_TRUE(import(options({.ending = "Softmax"})));
  expect_logits({3, 2, 1}, {3, 2, 1});  // not a softmax of a softmax
  EXPECT_EQ(import(options({}))->entry.manifest.output, OutputKind::logits);
  ImportOptions said = options({.ending = "Softmax"});
  said.output = OutputKind::logits;
  EXPECT_EQ(import(said)->entry.manifest.output, OutputKind::logits);
}

TEST_F(ModelImportTest, OfSeveralOutputsTheOneWithANumberForEachClass) {
  // Two logits, three averages: whichever comes first.
  const std::vector<float> weights = {1, 0, 0, 0, 1, 0};
  for (const std::vector<std::string>& outputs : {std::vector<std::string>{"flat", "logits"}, {"logits", "flat"}}) {
    const auto imported = import(options({.weights = weights, .outputs = outputs}));
    ASSERT_TRUE(imported) << describe(imported.error());
    EXPECT_EQ(imported->entry.manifest.output_name, "flat");
    expect_logits({1, 3, 2}, {1, 3, 2});
  }
  ImportOptions two = options({.weights = weights, .outputs = {"flat", "logits"}});
  two.labels = write("two.txt", "a\nb\n");
  EXPECT_EQ(import(two)->entry.manifest.output_name, "logits");
  two.labels = write("four.txt", "a\nb\nc\nd\n");
  EXPECT_EQ(import(two).error().code, "bad_labels");
  EXPECT_THAT(refusal(two), AllOf(HasSubstr("flat [1, 3]"), HasSubstr("logits [1, 2]")));
}

TEST_F(ModelImportTest, OfOutputsThatAllFitOneIsNamed) {
  ImportOptions wanted = options({.ending = "Softmax", .outputs = {"logits", "answer"}});
  EXPECT_THAT(refusal(wanted), AllOf(HasSubstr("logits [1, 3], answer [1, 3]"), HasSubstr("--output NAME")));
  for (const char* name : {"logits", "answer"}) {
    wanted.output_name = name;
    const auto imported = import(wanted);
    ASSERT_TRUE(imported) << describe(imported.error());
    EXPECT_EQ(imported->entry.manifest.output_name, name);
    EXPECT_EQ(imported->entry.manifest.output,
              std::string(name) == "logits" ? OutputKind::logits : OutputKind::probabilities);
    expect_logits({2, 1, 0}, {2, 1, 0});
  }
  wanted.output_name = "probabilities";
  EXPECT_THAT(refusal(wanted), AllOf(HasSubstr("no output probabilities"), HasSubstr("answer")));
}

TEST_F(ModelImportTest, WhatCannotBeObeyedIsNamed) {
  EXPECT_THAT(refusal(options({.input = {1, 3, 240, 320}})), HasSubstr("320 x 240"));
  EXPECT_THAT(refusal(options({.input = {8, 3, 224, 224}})), HasSubstr("8 images at a time"));
  EXPECT_THAT(refusal(options({.input = {1, 1, 28, 28}})), HasSubstr("grey"));
  EXPECT_THAT(refusal(options({.input = {1, 28, 28, 1}})), HasSubstr("grey"));
  EXPECT_THAT(refusal(options({.input = {1, 4, 224, 224}})), HasSubstr("three colours"));
  EXPECT_THAT(refusal(options({.input = {1, 3}})), HasSubstr("[1, 3]"));
  EXPECT_THAT(refusal(options({.input = {1, 3, 4096, 4096}})), HasSubstr("4096"));
  EXPECT_THAT(refusal(options({.element = 3})), HasSubstr("int8"));
  EXPECT_THAT(refusal(options({.element = 7})), HasSubstr("int64"));
  EXPECT_THAT(refusal(options({.element = 11})), HasSubstr("float64"));
}

TEST_F(ModelImportTest, WhatIsNoOnnxFileIsNamed) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid "
      "sha256:4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6d"
      "f52c\nsize 46820737\n";
  EXPECT_THAT(refusal(options_for(pointer)), AllOf(HasSubstr("Git LFS pointer"), HasSubstr("git lfs pull")));
  EXPECT_THAT(refusal(options_for(std::string("PK\x03\x04") + std::string(100, 'x'))), HasSubstr("ZIP"));
  EXPECT_THAT(refusal(options_for("\x89HDF\r\n\x1a\n")), HasSubstr("HDF5"));
  EXPECT_THAT(refusal(options_for(std::string("\x1c\0\0\0TFL3", 8))), HasSubstr("TensorFlow Lite"));
  EXPECT_THAT(refusal(options_for(std::string())), HasSubstr("empty"));
}

TEST_F(ModelImportTest, APointerInTheFolderOfModelsIsNamedToo) {
  const auto imported = import(options({}));
  ASSERT_TRUE(imported);
  ASSERT_TRUE(
      write_file_atomic(imported->entry.weights(), "version https://git-lfs.github.com/spec/v1\n", WriteMode::replace));
  const auto factory = make_classifier_factory({.model_dir = folder_, .model = "tiny"});
  ASSERT_FALSE(factory);
  EXPECT_EQ(factory.error().code, "model_damaged");
  EXPECT_THAT(factory.error().message, HasSubstr("Git LFS pointer"));
  EXPECT_THAT(store_.verify(imported->entry).error().message, HasSubstr("Git LFS pointer"));
}

TEST_F(ModelImportTest, EveryEngineThatWouldBeUsedHasRunTheModel) {
  const auto both = import(options({}));
  ASSERT_TRUE(both);
  EXPECT_THAT(both->runs_in, testing::Contains("opencv f32"));
  EXPECT_EQ(both->notes.empty(), true);
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  EXPECT_THAT(both->runs_in, testing::Contains("openvino f32"));
  // What OpenCV does not read.
  const ImportOptions lp = options({.pool = "GlobalLpPool"});
  const auto one = import(lp);
  ASSERT_TRUE(one) << describe(one.error());
  EXPECT_THAT(one->notes, testing::ElementsAre(AllOf(HasSubstr("not run in opencv"), HasSubstr("OpenCV"))));
  // It is refused where it is OpenCV that would be used later.
  const auto refused = import_model(store_, lp, {.model_dir = folder_, .engine = "opencv"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("OpenCV"));
}

TEST_F(ModelImportTest, TheReasonOfEachEngineIsSaid) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  EXPECT_THAT(refusal(options({.pool = "TeleportPool"})),
              AllOf(HasSubstr("OpenVINO"), HasSubstr("does not know the operator TeleportPool"), HasSubstr("OpenCV")));
}

TEST_F(ModelImportTest, AnAnswerThatIsNoNumberIsRefused) {
  EXPECT_THAT(refusal(options({.weights = {NAN, 0, 0, 0, 1, 0, 0, 0, 1}})), HasSubstr("not finite"));
}

TEST_F(ModelImportTest, AManifestThatContradictsTheFileIsRefusedByBothEngines) {
  const auto imported = import(options({.input = {1, 3, 299, 299}}));
  ASSERT_TRUE(imported);
  ModelManifest manifest = imported->entry.manifest;
  manifest.input_size = 224;  // as models were imported once
  ASSERT_TRUE(write_file_atomic(imported->entry.folder / "model.json", to_json(manifest), WriteMode::replace));
  for (const char* engine : {"opencv", "openvino"}) {
    if (std::string(engine) == "openvino" && !has_openvino()) continue;
    const auto factory = make_classifier_factory({.model_dir = folder_, .model = "tiny", .engine = engine});
    ASSERT_FALSE(factory) << engine;
    EXPECT_THAT(factory.error().message, AllOf(HasSubstr("299 x 299"), HasSubstr("import the model again"))) << engine;
  }
}

TEST(ParseScaling, AsPeopleWriteIt) {
  const auto of = [](const char* mean, const char* scale) {
    const auto parsed = parse_scaling(mean, scale);
    EXPECT_TRUE(parsed && *parsed) << mean << " " << scale;
    return parsed && *parsed ? **parsed : ColourScaling{};
  };
  EXPECT_FALSE(*parse_scaling("", ""));
  EXPECT_THAT(of("127.5", "127.5").mean, testing::Each(127.5));
  EXPECT_THAT(of("", "255").mean, testing::Each(0));
  EXPECT_THAT(of("103.94, 116.78,123.68", "").mean, testing::ElementsAre(103.94, 116.78, 123.68));
  EXPECT_THAT(of("103.94,116.78,123.68", "").scale, testing::Each(1));
  // As torchvision has them.
  const ColourScaling torch = of("0.485,0.456,0.406", "0.229,0.224,0.225");
  EXPECT_NEAR(torch.mean[0], 123.675, 1e-9);
  EXPECT_NEAR(torch.scale[2], 57.375, 1e-9);
  for (const char* bad : {"x", "1,2", "1,2,3,4", "1;2;3", "nan", "1,,3", "0"}) {
    EXPECT_EQ(parse_scaling("", bad).error().code, "bad_preparation") << bad;
  }
  EXPECT_THAT(parse_scaling("", "0.0039").error().message, HasSubstr("divided"));
}

}  // namespace
}  // namespace imgrec::model_import_test
