// What use_winograd() replaces in a model, and that the model computes the same afterwards.
#include "inference/engine/openvino_winograd.hpp"

#include <gtest/gtest.h>

#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include <functional>
#include <random>
#include <sstream>
#include <vector>

#include "inference/engine/engine_openvino.hpp"
#include "inference/engine/winograd.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::openvino_winograd_test {
namespace {

namespace ops = ov::opset8;
using Node = std::shared_ptr<ov::Node>;

struct Layer {
  ov::Shape filters = {64, 64, 3, 3};
  ov::Strides strides = {1, 1};
  ov::CoordinateDiff pads_begin = {1, 1}, pads_end = {1, 1};
};

class OpenvinoWinograd : public testing::Test {
 protected:
  void SetUp() override {
    if (winograd::best_kernels() == nullptr) GTEST_SKIP() << "This processor has neither AVX2 nor AVX-512.";
    add_winograd(core_);
  }

  Node constant(const ov::Shape& shape, float mean = 0, float scale = 1) {
    std::normal_distribution<float> normal(mean, scale);
    std::vector<float> numbers(ov::shape_size(shape));
    for (float& number : numbers) number = normal(random_);
    return ops::Constant::create(ov::element::f32, shape, numbers);
  }
  Node convolution(const Node& input, const Layer& layer = {}) {
    return std::make_shared<ops::Convolution>(input, constant(layer.filters, 0, 0.05F), layer.strides, layer.pads_begin,
                                              layer.pads_end, ov::Strides{1, 1});
  }
  Node bias(const Node& input) {
    return std::make_shared<ops::Add>(input, constant({1, input->get_output_shape(0)[1], 1, 1}));
  }
  Node normalised(const Node& input) {
    const ov::Shape channels = {input->get_output_shape(0)[1]};
    std::vector<float> variance(channels[0]);
    for (std::size_t i = 0; i < variance.size(); ++i) variance[i] = 0.5F + static_cast<float>(i % 7);
    return std::make_shared<ops::BatchNormInference>(input, constant(channels, 1), constant(channels),
                                                     constant(channels),
                                                     ops::Constant::create(ov::element::f32, channels, variance), 1e-5);
  }
  static Node sum(const Node& a, const Node& b) { return std::make_shared<ops::Add>(a, b); }
  static Node relu(const Node& input) { return std::make_shared<ops::Relu>(input); }

  // How many convolutions were replaced, after checking that the outputs are those of the model as it was, and also
  // those of what is exported and imported again.
  int replaced(const std::function<Node(const Node&)>& body, const ov::Shape& image = {1, 64, 21, 19}) {
    const auto parameter = std::make_shared<ops::Parameter>(ov::element::f32, image);
    const auto model = std::make_shared<ov::Model>(ov::OutputVector{body(parameter)}, ov::ParameterVector{parameter});
    const auto changed = model->clone();
    const int count = use_winograd(changed);
    const ov::AnyMap options = {ov::num_streams(1), ov::inference_num_threads(1),
                                ov::hint::inference_precision(ov::element::f32)};
    auto compiled = core_.compile_model(changed, "CPU", options);
    std::stringstream exported;
    compiled.export_model(exported);
    auto imported = core_.import_model(exported, "CPU", options);
    auto original = core_.compile_model(model, "CPU", options);
    ov::Tensor input(ov::element::f32, image);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < input.get_size(); ++i) input.data<float>()[i] = normal(random_);
    const std::vector<float> expected = run(original, input);
    for (ov::CompiledModel* one : {&compiled, &imported}) {
      const std::vector<float> computed = run(*one, input);
      EXPECT_EQ(computed.size(), expected.size());
      for (std::size_t i = 0; i < std::min(computed.size(), expected.size()); ++i) {
        EXPECT_NEAR(computed[i], expected[i], 1e-4) << "at " << i;
        if (testing::Test::HasFailure()) break;
      }
    }
    return count;
  }

 private:
  static std::vector<float> run(ov::CompiledModel& model, const ov::Tensor& input) {
    auto request = model.create_infer_request();
    request.set_input_tensor(input);
    request.infer();
    const ov::Tensor output = request.get_output_tensor();
    return {output.data<const float>(), output.data<const float>() + output.get_size()};
  }

  ov::Core core_;
  std::mt19937 random_{1};
};

TEST_F(OpenvinoWinograd, AConvolutionAlone) {
  EXPECT_EQ(replaced([&](const Node& x) { return convolution(x); }), 1);
}

TEST_F(OpenvinoWinograd, BiasNormalisationAndReluOfAResidualBlock) {
  EXPECT_EQ(replaced([&](const Node& x) {
              const Node first = relu(bias(convolution(x)));
              const Node second = normalised(convolution(first));
              return relu(sum(second, x));
            }),
            2);
}

TEST_F(OpenvinoWinograd, TheResidualMayComeFirstAndThereMayBeABiasBeforeTheNormalisation) {
  EXPECT_EQ(replaced([&](const Node& x) { return sum(x, normalised(bias(convolution(x)))); }), 1);
}

TEST_F(OpenvinoWinograd, ASumOfTwoConvolutions) {
  EXPECT_EQ(replaced([&](const Node& x) { return relu(sum(bias(convolution(x)), bias(convolution(x)))); }), 2);
}

TEST_F(OpenvinoWinograd, WhatOthersUseTooStaysVisible) {
  EXPECT_EQ(replaced([&](const Node& x) {
              const Node shared = convolution(x);
              return sum(relu(shared), shared);
            }),
            1);
  EXPECT_EQ(replaced([&](const Node& x) {
              const Node twice = convolution(x);
              return relu(sum(twice, twice));
            }),
            1);
}

TEST_F(OpenvinoWinograd, AResidualThatIsNoImageOfTheSameSizeIsLeftToTheEngine) {
  EXPECT_EQ(replaced([&](const Node& x) { return sum(convolution(x), constant({1, 1, 21, 19})); }), 1);
  EXPECT_EQ(replaced([&](const Node& x) { return sum(convolution(x), constant({1, 64, 21, 19})); }), 1);
}

TEST_F(OpenvinoWinograd, PadsOfAllKinds) {
  const auto with = [&](ov::CoordinateDiff begin, ov::CoordinateDiff end) {
    return replaced([&](const Node& x) { return relu(convolution(x, {.pads_begin = begin, .pads_end = end})); });
  };
  EXPECT_EQ(with({0, 0}, {0, 0}), 1);
  EXPECT_EQ(with({0, 2}, {1, 0}), 1);
  EXPECT_EQ(with({2, 2}, {2, 2}), 1);
  EXPECT_EQ(with({3, 1}, {1, 1}), 0);
}

TEST_F(OpenvinoWinograd, FewerTilesAreMadeSmallerUntilThereAreTooFew) {
  const auto at = [&](std::size_t side) {
    return replaced([&](const Node& x) { return convolution(x); }, {1, 64, side, side});
  };
  EXPECT_EQ(at(9), 1);  // 25 tiles of 2 x 2, 9 of 4 x 4
  EXPECT_EQ(at(7), 0);
}

TEST_F(OpenvinoWinograd, CanBeTurnedOffForAModel) {
  IMGREC_NEED_SHARED(model, test::shared_path("models/resnet18-pqf.onnx"));
  std::vector<std::vector<float>> answers;
  for (const bool on : {true, true, false}) {
    auto graph = MappedFile::open(model, 1024 * kMiB);
    ASSERT_TRUE(graph);
    const auto compiled = compile_openvino(std::make_shared<const ModelBytes>(*std::move(graph)),
                                           {.network = {.size = {224, 224}}, .winograd = on});
    ASSERT_TRUE(compiled) << describe(compiled.error());
    const auto engine = (*compiled)->make_engine();
    ASSERT_TRUE(engine);
    const auto answer = try_engine(**engine, {224, 224});
    ASSERT_TRUE(answer);
    answers.push_back(*answer);
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_NE(answers[0], answers[2]) << "sums are added in another order";
  for (std::size_t i = 0; i < answers[0].size(); ++i) EXPECT_NEAR(answers[0][i], answers[2][i], 1e-3);
}

TEST_F(OpenvinoWinograd, OtherConvolutionsAreLeftToTheEngine) {
  const auto with = [&](const Layer& layer) {
    return replaced([&](const Node& x) { return relu(convolution(x, layer)); });
  };
  EXPECT_EQ(with({.strides = {2, 2}}), 0);
  EXPECT_EQ(with({.filters = {64, 64, 1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}}), 0);
  EXPECT_EQ(with({.filters = {64, 64, 5, 5}}), 0);
  EXPECT_EQ(with({.filters = {40, 64, 3, 3}}), 0);
}

}  // namespace
}  // namespace imgrec::openvino_winograd_test
