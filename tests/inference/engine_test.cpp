// Both engines on small models, and what a model's loader makes of them.
#include "inference/engine/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "inference/engine/engine_openvino.hpp"
#include "inference/model_import.hpp"
#include "inference/model_loader.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "tests/inference/named_engine.hpp"
#include "tests/inference/tiny_ir.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::engine_test {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::Each;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

constexpr InputSize kSize{224, 224};

void write(const fs::path& file, const std::string& bytes) {
  ASSERT_TRUE(write_file_atomic(file, bytes, WriteMode::replace));
}

// The logits of an image whose channels are 1, 2 and 3: the tiny model answers with these.
std::vector<float> answer(Engine& engine, InputSize size = kSize) {
  const std::span<float> input = engine.input(size);
  EXPECT_EQ(input.size(), size.floats());
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = 1.0F + static_cast<float>(i / (input.size() / 3));
  const auto output = engine.run();
  EXPECT_TRUE(output) << describe(output.error());
  return output ? std::vector<float>(output->begin(), output->end()) : std::vector<float>();
}
const std::vector<float> kAnswer = {1, 2, 3};

class EachEngine : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!test::can_run(GetParam())) GTEST_SKIP() << GetParam() << " is not to be had here";
  }
  Result<std::unique_ptr<Engine>> load(const std::string& onnx, bool any_size = false) {
    write(dir_.path() / "m.onnx", onnx);
    return test::named_engine(GetParam(), dir_.path() / "m.onnx", kSize, any_size);
  }
  test::TempDir dir_;
};
INSTANTIATE_TEST_SUITE_P(Engines, EachEngine, testing::Values("opencv", "openvino-f32", "openvino-bf16"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EachEngine, AnswersAgainAndAgain) {
  const auto engine = load(test::encode_onnx());
  ASSERT_TRUE(engine) << describe(engine.error());
  EXPECT_EQ(std::string(GetParam()).starts_with(std::string((*engine)->name())), true);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(answer(**engine), Pointwise(FloatNear(0.01F), kAnswer));
}

TEST_P(EachEngine, TakesImagesOfAnySizeIfItIsMadeForThem) {
  const auto engine = load(test::encode_onnx(), /*any_size=*/true);
  ASSERT_TRUE(engine) << describe(engine.error());
  for (const InputSize size : {InputSize{64, 64}, {3, 5}, {224, 224}, {1, 1}, {200, 100}, {64, 64}}) {
    EXPECT_THAT(answer(**engine, size), Pointwise(FloatNear(0.02F), kAnswer)) << size.width << "x" << size.height;
  }
}

TEST_P(EachEngine, RefusesWhatIsNoModelWithoutCrashing) {
  const std::string model = test::encode_onnx();
  for (std::size_t size = 1; size + 20 < model.size(); size += 7) {
    const auto engine = load(model.substr(0, size));
    ASSERT_FALSE(engine) << size;
    EXPECT_EQ(engine.error().code, "model_unusable");
  }
  for (const char* bytes : {"<html>Not found</html>", "<?xml version=\"1.0\"?><net/>", "\x08", "{}"}) {
    EXPECT_EQ(load(bytes).error().code, "model_unusable") << bytes;
  }
  EXPECT_THAT(load(test::encode_onnx({.pool = "TeleportPool"})).error().message, HasSubstr("operator"));
}

TEST(OpenvinoEngine, AnImageOfAnotherSizeIsAnError) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  const test::TempDir dir;
  write(dir.path() / "m.onnx", test::encode_onnx());
  const auto engine = test::named_engine("openvino-f32", dir.path() / "m.onnx", kSize, false);
  ASSERT_TRUE(engine) << describe(engine.error());
  const InputSize other{100, 50};
  EXPECT_EQ((*engine)->input(other).size(), other.floats());
  EXPECT_THAT((*engine)->run().error().message, HasSubstr("100 x 50 pixels: it was made for 224 x 224"));
  EXPECT_THAT(answer(**engine), Pointwise(FloatNear(1e-3F), kAnswer));
}

TEST(OpenvinoEngine, SaysWhatIsWrongWithAnIr) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  const test::TempDir dir;
  const fs::path xml = dir.path() / "m.xml", bin = dir.path() / "m.bin";
  const std::string good = test::encode_ir(), weights = test::encode_ir_weights();
  const auto load = [&](const std::string& graph, const std::string& numbers) {
    write(xml, graph);
    write(bin, numbers);
    return test::named_engine("openvino-int8", xml, kSize, false);
  };
  const auto engine = load(good, weights);
  ASSERT_TRUE(engine) << describe(engine.error());
  EXPECT_THAT(answer(**engine), Pointwise(FloatNear(1e-3F), kAnswer));
  struct Bad {
    const char* what;
    std::string graph, weights;
  };
  const std::vector<Bad> bad = {
      {"short weights", good, weights.substr(0, 20)},
      {"no weights", good, ""},
      {"half a graph", good.substr(0, good.size() / 2), weights},
      {"no graph", "", weights},
      {"no IR", "<?xml version=\"1.0\"?><net version=\"11\"><layers/></net>", weights},
      {"garbage", std::string("\0\xFF<<<<&&&&", 10) + std::string(5000, '<'), weights},
      {"unknown operator", test::encode_ir({.pool = "TeleportPool"}), weights},
      {"huge input", test::encode_ir({.input = "1,3,2000000000,2000000000"}), weights},
      {"four colours", test::encode_ir({.input = "1,4,224,224"}), weights},
      {"no image", test::encode_ir({.input = "1,3"}), weights},
      {"weights beyond the end", test::encode_ir({.weights_offset = "18446744073709551600"}), weights},
      {"weights before the beginning", test::encode_ir({.weights_offset = "-16"}), weights},
      {"huge weights", test::encode_ir({.weights_shape = "2000000000,2000000000"}), weights},
      {"huge size", test::encode_ir({.weights_size = "99999999999"}), weights},
      {"another size", test::encode_ir({.weights_size = "8"}), weights},
  };
  for (const Bad& one : bad) {
    const auto refused = load(one.graph, one.weights);
    if (refused && std::string(one.what) == "huge input") continue;  // images have their own size: it does no harm
    ASSERT_FALSE(refused) << one.what;
    EXPECT_EQ(refused.error().code, "model_unusable") << one.what << " " << describe(refused.error());
    EXPECT_GT(refused.error().message.size(), 30U) << one.what << " " << refused.error().message;
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos) << refused.error().message;
  }
  EXPECT_THAT(load(test::encode_ir({.pool = "TeleportPool"}), weights).error().message, HasSubstr("TeleportPool"));
}

// A model of a name, with an int8 variant that is none: what counts here is what is loaded.
class LoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    write(dir_.path() / "tiny.onnx", test::encode_onnx());
    write(dir_.path() / "names.txt", "a\nb\nc\n");
    ModelStore store(dir_.path());
    const auto entry =
        import_model(store, {.file = dir_.path() / "tiny.onnx", .name = "tiny", .labels = dir_.path() / "names.txt"});
    ASSERT_TRUE(entry) << describe(entry.error());
    folder_ = entry->entry.folder;
    manifest_ = entry->entry.manifest;
    set_int8(test::encode_ir(), test::encode_ir_weights());
  }
  void set_int8(const std::string& xml, const std::string& bin) {
    write(folder_ / "int8.xml", xml);
    write(folder_ / "int8.bin", bin);
    manifest_.variants = {
        {.precision = Precision::int8,
         .files = {{.file = "int8.xml", .sha256 = sha256_hex(xml)}, {.file = "int8.bin", .sha256 = sha256_hex(bin)}},
         .agreement = Agreement{.top1 = 1,
                                .top5_overlap = 1,
                                .score_error = 0,
                                .photos = 64,
                                .arithmetic = std::string(int8_arithmetic(processor_features()))}}};
    write(folder_ / "model.json", to_json(manifest_));
  }
  ClassifierOptions options(const std::string& engine, const std::string& precision) const {
    return {.model_dir = dir_.path(), .model = "tiny", .engine = engine, .precision = precision};
  }
  std::vector<fs::path> cached() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(cache_)) files.push_back(entry.path());
    return files;
  }

  test::TempDir dir_;
  fs::path folder_, cache_ = dir_.path() / "cache";
  ModelManifest manifest_;
};

TEST_F(LoaderTest, EveryEngineAndPrecisionThatCanBeHad) {
  for (const auto& [engine, precision] :
       {std::pair{"opencv", "f32"}, {"openvino", "f32"}, {"openvino", "bf16"}, {"openvino", "int8"}}) {
    if (!test::can_run(std::string(engine) == "opencv" ? engine : std::string(engine) + "-" + precision)) continue;
    const auto model = load_model(options(engine, precision));
    ASSERT_TRUE(model) << describe(model.error());
    EXPECT_EQ(model->engine, engine);
    EXPECT_EQ(model->precision, precision);
    EXPECT_EQ(model->outputs, 3U);
    EXPECT_FALSE(model->why.empty());
    for (int i = 0; i < 2; ++i) {
      const auto made = model->make_engine();
      ASSERT_TRUE(made) << describe(made.error());
      EXPECT_EQ((*made)->name(), engine);
      EXPECT_EQ((*made)->precision(), precision);
      EXPECT_THAT(answer(**made), Pointwise(FloatNear(0.02F), kAnswer));
    }
  }
}

TEST_F(LoaderTest, AnEngineLivesWithoutTheModelItIsOf) {
  std::unique_ptr<Engine> engine;
  {
    const auto model = load_model(options("auto", "auto"));
    ASSERT_TRUE(model) << describe(model.error());
    engine = *model->make_engine();
  }
  EXPECT_THAT(answer(*engine), Pointwise(FloatNear(0.02F), kAnswer));
}

TEST_F(LoaderTest, ThreadsAtOnceGetTheirOwnAnswers) {
  for (const int threads : {1, 2, 4}) {
    ClassifierOptions wanted = options("auto", "f32");
    wanted.threads = threads;
    const auto model = load_model(wanted);
    ASSERT_TRUE(model) << describe(model.error());
    std::vector<std::jthread> running;
    std::array<bool, 4> right{};
    for (std::size_t t = 0; t < right.size(); ++t) {  // more than there are streams, too
      running.emplace_back([&, t] {
        const auto engine = model->make_engine();
        right[t] = engine.has_value();
        for (int i = 0; i < 200 && right[t]; ++i) {
          const auto value = static_cast<float>(t * 1000 + static_cast<std::size_t>(i));
          const auto input = (*engine)->input(kSize);
          std::fill(input.begin(), input.end(), value);
          const auto output = (*engine)->run();
          right[t] = output && std::abs((*output)[0] - value) < 0.01F * (1 + value);
        }
      });
    }
    running.clear();
    EXPECT_THAT(right, Each(true)) << threads;
  }
}

TEST_F(LoaderTest, AWrongDigestIsAnErrorAndNoReasonForAnotherEngine) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  write(folder_ / "int8.bin", test::encode_ir_weights() + "x");
  const auto damaged = load_model(options("auto", "int8"));
  EXPECT_EQ(damaged.error().code, "model_damaged");
  EXPECT_THAT(damaged.error().message, HasSubstr("int8.bin"));
  write(folder_ / "tiny.onnx", test::encode_onnx({.weights = {2, 0, 0, 0, 2, 0, 0, 0, 2}}));
  EXPECT_EQ(load_model(options("auto", "f32")).error().code, "model_damaged");
  EXPECT_EQ(load_model(options("opencv", "f32")).error().code, "model_damaged");
}

TEST_F(LoaderTest, AVariantThatCannotBeLoadedIsPassedOverByAutoAlone) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  set_int8(test::encode_ir({.pool = "TeleportPool"}), test::encode_ir_weights());
  const auto asked = load_model(options("auto", "int8"));
  EXPECT_EQ(asked.error().code, "model_unusable");
  EXPECT_THAT(asked.error().message, HasSubstr("TeleportPool"));
  const auto model = load_model(options("auto", "auto"));
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_THAT(model->precision, AnyOf("bf16", "f32"));
}

TEST_F(LoaderTest, CompiledModelsAreKeptAndNeverTrustedBlindly) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  for (const char* precision : {"f32", "int8"}) {
    ClassifierOptions wanted = options("openvino", precision);
    wanted.cache_dir = cache_;
    ASSERT_TRUE(load_model(wanted));  // gone, so the entry is written
    ASSERT_EQ(cached().size(), 1U);
    const fs::path file = cached()[0];
    const std::string good = *read_file(file, 64 * kMiB);
    const auto expect_right_answers = [&](const std::string& what) {
      const auto model = load_model(wanted);
      ASSERT_TRUE(model) << what << describe(model.error());
      EXPECT_THAT(answer(**model->make_engine()), Pointwise(FloatNear(1e-3F), kAnswer)) << what;
    };
    // The kernel's time of a use may lie some milliseconds before that of the write, so the write is put far back.
    const auto written = fs::last_write_time(file);
    fs::last_write_time(file, written - std::chrono::hours(24));
    expect_right_answers("kept");
    EXPECT_EQ(*read_file(file, 64 * kMiB), good) << "not written again";
    EXPECT_GT(fs::last_write_time(file), written - std::chrono::hours(1)) << "used now, so not the first to be removed";
    std::string flipped = good;
    flipped[flipped.size() / 2] = static_cast<char>(~flipped[flipped.size() / 2]);
    for (const std::string& bad : {std::string(), good.substr(0, 5000), flipped, std::string(9000, 'x')}) {
      write(file, bad);
      expect_right_answers("damaged");
      EXPECT_NE(*read_file(file, 64 * kMiB), bad) << "written again";
    }
    // Intact, but not what the engine can import.
    const std::string nonsense(20'000, 'n');
    const std::string foreign = good.substr(0, 89) + sha256_hex(nonsense) + good.substr(153, 4096 - 153) + nonsense;
    write(file, foreign);
    expect_right_answers("nonsense with a right digest");
    EXPECT_NE(*read_file(file, 64 * kMiB), foreign);
    fs::remove_all(cache_);
  }
}

TEST_F(LoaderTest, WithAndWithoutWinogradAreKeptApart) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  ClassifierOptions wanted = options("openvino", "f32");
  wanted.cache_dir = cache_;
  for (const bool winograd : {true, false}) {
    wanted.winograd = winograd;
    const auto model = load_model(wanted);
    ASSERT_TRUE(model) << describe(model.error());
    EXPECT_THAT(answer(**model->make_engine()), Pointwise(FloatNear(1e-3F), kAnswer));
  }
  EXPECT_EQ(cached().size(), 2U);
}

TEST_F(LoaderTest, ACacheIsNoReplacementForADamagedModel) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  ClassifierOptions wanted = options("openvino", "f32");
  wanted.cache_dir = cache_;
  ASSERT_TRUE(load_model(wanted));
  ASSERT_EQ(cached().size(), 1U);
  std::ofstream(folder_ / "tiny.onnx", std::ios::app) << "x";
  EXPECT_EQ(load_model(wanted).error().code, "model_damaged");
}

}  // namespace
}  // namespace imgrec::engine_test
