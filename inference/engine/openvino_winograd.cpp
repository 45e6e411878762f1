#include "inference/engine/openvino_winograd.hpp"

#include <openvino/core/model.hpp>
#include <openvino/core/op_extension.hpp>
#include <openvino/op/op.hpp>
#include <openvino/opsets/opset8.hpp>
#include <openvino/pass/constant_folding.hpp>
#include <openvino/runtime/core.hpp>

#include <cmath>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "inference/engine/winograd.hpp"

namespace imgrec {
namespace {

namespace ops = ov::opset8;

// With fewer, what is gained by fewer products is lost by reading more weights, each for a few tiles only.
constexpr int kTilesMin = 20;
constexpr std::size_t kWeightsMax = std::size_t{16} << 20;  // of a layer, in bytes

using Pads = std::vector<std::int64_t>;  // top, left, bottom, right

ov::Shape weights_shape(std::int64_t tile, std::size_t filters, std::size_t channels) {
  const auto points = static_cast<std::size_t>(winograd::points(static_cast<int>(tile)));
  return {filters / winograd::kFiltersStep, points, channels, winograd::kFiltersStep};
}

struct FreeAligned {
  void operator()(float* numbers) const { ::operator delete(numbers, std::align_val_t{64}); }
};

// A thread's own; as large as its largest layer needed.
float* workspace_of(std::size_t floats) {
  thread_local std::unique_ptr<float, FreeAligned> numbers;
  thread_local std::size_t size = 0;
  if (floats > size) {
    size = 0;
    numbers.reset(static_cast<float*>(::operator new(floats * sizeof(float), std::align_val_t{64})));
    size = floats;
  }
  return numbers.get();
}

/// Inputs: image [1, height, width, channels], transformed weights, bias [filters] and, optionally, what is added to
/// the output. Channels last, as the kernels and OpenVINO's own convolutions have it: no data moves between them.
class WinogradConvolution final : public ov::op::Op {
 public:
  OPENVINO_OP("WinogradConvolution", "imgrec")

  WinogradConvolution() = default;
  WinogradConvolution(const ov::OutputVector& inputs, std::int64_t tile, Pads pads, bool relu)
      : Op(inputs), tile_(tile), pads_(std::move(pads)), relu_(relu) {
    constructor_validate_and_infer_types();
  }

  void validate_and_infer_types() override {
    const bool counts = (get_input_size() == 3 || get_input_size() == 4) && pads_.size() == 4;
    NODE_VALIDATION_CHECK(this, counts && (tile_ == 2 || tile_ == 4), "needs 3 or 4 inputs, 4 pads, tiles of 2 or 4");
    for (std::size_t i = 0; i < get_input_size(); ++i) {
      const bool numbers = get_input_element_type(i) == ov::element::f32 && get_input_partial_shape(i).is_static();
      NODE_VALIDATION_CHECK(this, numbers, "needs f32 inputs of known sizes");
    }
    const ov::Shape image = get_input_shape(0), weights = get_input_shape(1), bias = get_input_shape(2);
    const bool ranks = image.size() == 4 && image[0] == 1 && weights.size() == 4 && bias.size() == 1;
    NODE_VALIDATION_CHECK(this, ranks, "needs one image of channels last");
    const auto out = [&](std::size_t side, std::size_t axis) {
      for (const std::int64_t pad : {pads_[axis], pads_[axis + 2]}) {
        NODE_VALIDATION_CHECK(this, pad >= 0 && pad <= 2, "pads are 0 to 2");
      }
      const std::int64_t length = static_cast<std::int64_t>(side) + pads_[axis] + pads_[axis + 2] - 2;
      NODE_VALIDATION_CHECK(this, length > 0, "the image is too small");
      return static_cast<std::size_t>(length);
    };
    const ov::Shape output = {1, out(image[1], 0), out(image[2], 1), bias[0]};
    const bool fits = bias[0] % winograd::kFiltersStep == 0 && image[3] % winograd::kChannelsStep == 0 &&
                      weights == weights_shape(tile_, bias[0], image[3]) &&
                      (get_input_size() == 3 || get_input_shape(3) == output);
    NODE_VALIDATION_CHECK(this, fits, "the sizes of its inputs do not fit each other");
    set_output_type(0, ov::element::f32, output);
  }

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override {
    return std::make_shared<WinogradConvolution>(inputs, tile_, pads_, relu_);
  }

  bool visit_attributes(ov::AttributeVisitor& visitor) override {
    visitor.on_attribute("tile", tile_);
    visitor.on_attribute("pads", pads_);
    visitor.on_attribute("relu", relu_);
    return true;
  }

  bool has_evaluate() const override { return winograd::best_kernels() != nullptr; }

  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override {
    const ov::Shape image = inputs[0].get_shape(), out = outputs[0].get_shape();
    const winograd::Shape shape{.height = static_cast<int>(image[1]),
                                .width = static_cast<int>(image[2]),
                                .channels = static_cast<int>(image[3]),
                                .out_height = static_cast<int>(out[1]),
                                .out_width = static_cast<int>(out[2]),
                                .filters = static_cast<int>(out[3]),
                                .pad_top = static_cast<int>(pads_[0]),
                                .pad_left = static_cast<int>(pads_[1]),
                                .tile = static_cast<int>(tile_)};
    const winograd::Kernels* const kernels = winograd::best_kernels();
    if (kernels == nullptr) return false;
    kernels->convolve(shape,
                      {.input = inputs[0].data<const float>(),
                       .weights = inputs[1].data<const float>(),
                       .bias = inputs[2].data<const float>(),
                       .residual = inputs.size() > 3 ? inputs[3].data<const float>() : nullptr,
                       .output = outputs[0].data<float>(),
                       .relu = relu_},
                      workspace_of(kernels->workspace(shape)));
    return true;
  }

 private:
  std::int64_t tile_ = 4;
  Pads pads_;
  bool relu_ = false;
};

using Floats = std::vector<float>;

// A constant of one number per channel.
std::optional<Floats> per_channel(const ov::Output<ov::Node>& value, std::size_t channels) {
  const auto constant = ov::as_type_ptr<ops::Constant>(value.get_node_shared_ptr());
  if (constant == nullptr || constant->get_element_type() != ov::element::f32) return std::nullopt;
  ov::Shape shape = constant->get_shape();
  if (shape.size() == 4 && shape[0] == 1 && shape[2] == 1 && shape[3] == 1) shape = {shape[1]};
  if (shape != ov::Shape{channels}) return std::nullopt;
  return constant->cast_vector<float>();
}

// A convolution and what follows it, as far as a kernel does it in one go.
struct Match {
  std::shared_ptr<ops::Convolution> convolution;
  std::shared_ptr<ov::Node> last;
  int tile = 4;
  Floats scale, shift;  // per filter: output = convolution * scale + shift
  std::optional<ov::Output<ov::Node>> residual;
  bool relu = false;

  // The only node that uses the last one's output, as one of this kind; null when there is another.
  template <class Kind>
  std::shared_ptr<Kind> next() const {
    const auto users = last->output(0).get_target_inputs();
    if (last->get_output_size() != 1 || users.size() != 1) return nullptr;
    return ov::as_type_ptr<Kind>(users.begin()->get_node()->shared_from_this());
  }
  // Of a sum: what is not the last node.
  ov::Output<ov::Node> other(const ops::Add& sum) const {
    return sum.input_value(sum.input_value(0).get_node() == last.get() ? 1 : 0);
  }
};

void follow_normalisation(Match& match) {
  const auto norm = match.next<ops::BatchNormInference>();
  if (norm == nullptr || norm->input_value(0).get_node() != match.last.get()) return;
  std::optional<Floats> parts[4];
  for (std::size_t i = 0; i < 4; ++i) {
    parts[i] = per_channel(norm->input_value(i + 1), match.scale.size());
    if (!parts[i]) return;
  }
  const Floats &gamma = *parts[0], &beta = *parts[1], &mean = *parts[2], &variance = *parts[3];
  for (std::size_t k = 0; k < match.scale.size(); ++k) {
    const double factor = gamma[k] / std::sqrt(variance[k] + norm->get_eps_value());
    match.scale[k] = static_cast<float>(match.scale[k] * factor);
    match.shift[k] = static_cast<float>((match.shift[k] - mean[k]) * factor + beta[k]);
  }
  match.last = norm;
}

void follow_bias(Match& match) {
  const auto sum = match.next<ops::Add>();
  if (sum == nullptr) return;
  const auto bias = per_channel(match.other(*sum), match.shift.size());
  if (!bias) return;
  for (std::size_t k = 0; k < bias->size(); ++k) match.shift[k] += (*bias)[k];
  match.last = sum;
}

void follow_residual(Match& match) {
  const auto sum = match.next<ops::Add>();
  if (sum == nullptr) return;
  const ov::Output<ov::Node> other = match.other(*sum);
  const bool same = other.get_partial_shape() == match.last->get_output_partial_shape(0) &&
                    other.get_element_type() == ov::element::f32 && other.get_node() != match.last.get();
  if (!same) return;
  match.residual = other;
  match.last = sum;
}

// The largest that is worth it.
std::optional<int> tile_for(const ov::Shape& filters, const ov::Shape& out) {
  for (const int tile : {4, 2}) {
    const winograd::Shape shape{
        .out_height = static_cast<int>(out[2]), .out_width = static_cast<int>(out[3]), .tile = tile};
    const std::size_t weights = filters[0] * filters[1] * static_cast<std::size_t>(winograd::points(tile));
    if (winograd::tiles(shape) >= kTilesMin && weights * sizeof(float) <= kWeightsMax) return tile;
  }
  return std::nullopt;
}

std::optional<Match> match_at(const std::shared_ptr<ov::Node>& node) {
  const auto convolution = ov::as_type_ptr<ops::Convolution>(node);
  if (convolution == nullptr || convolution->get_output_partial_shape(0).is_dynamic()) return std::nullopt;
  const auto weights = ov::as_type_ptr<ops::Constant>(convolution->get_input_node_shared_ptr(1));
  if (weights == nullptr || weights->get_element_type() != ov::element::f32) return std::nullopt;
  const ov::Shape filters = weights->get_shape(), image = convolution->get_input_shape(0),
                  out = convolution->get_output_shape(0);
  const bool plain = filters.size() == 4 && ov::shape_size(filters) > 0 && filters[2] == 3 && filters[3] == 3 &&
                     image[0] == 1 && convolution->get_strides() == ov::Strides{1, 1} &&
                     convolution->get_dilations() == ov::Strides{1, 1} && filters[0] % winograd::kFiltersStep == 0 &&
                     filters[1] % winograd::kChannelsStep == 0;
  if (!plain) return std::nullopt;
  for (const auto& pads : {convolution->get_pads_begin(), convolution->get_pads_end()}) {
    for (const std::ptrdiff_t pad : pads) {
      if (pad < 0 || pad > 2) return std::nullopt;
    }
  }
  const auto tile = tile_for(filters, out);
  if (!tile) return std::nullopt;
  Match match{.convolution = convolution,
              .last = convolution,
              .tile = *tile,
              .scale = Floats(filters[0], 1.0F),
              .shift = Floats(filters[0], 0.0F),
              .residual = {}};
  follow_bias(match);
  follow_normalisation(match);
  follow_residual(match);
  if (const auto relu = match.next<ops::Relu>()) {
    match.relu = true;
    match.last = relu;
  }
  return match;
}

std::shared_ptr<ov::Node> transposed(const ov::Output<ov::Node>& value, const std::vector<std::int64_t>& order) {
  return std::make_shared<ops::Transpose>(value, ops::Constant::create(ov::element::i64, {4}, order));
}

class Rewriter {
 public:
  void replace(const Match& match) {
    const auto constant = ov::as_type_ptr<ops::Constant>(match.convolution->get_input_node_shared_ptr(1));
    Floats filters = constant->cast_vector<float>();
    const std::size_t count = match.scale.size(), each = filters.size() / count;
    for (std::size_t i = 0; i < filters.size(); ++i) filters[i] *= match.scale[i / each];
    const winograd::Shape shape{
        .channels = static_cast<int>(each / 9), .filters = static_cast<int>(count), .tile = match.tile};
    const Floats weights = winograd::transform_weights(filters, shape);
    ov::OutputVector inputs = {
        channels_last(match.convolution->input_value(0)),
        ops::Constant::create(ov::element::f32, weights_shape(match.tile, count, each / 9), weights),
        ops::Constant::create(ov::element::f32, {count}, match.shift)};
    if (match.residual) inputs.push_back(channels_last(*match.residual));
    Pads pads;
    for (const auto& side : {match.convolution->get_pads_begin(), match.convolution->get_pads_end()})
      pads.insert(pads.end(), side.begin(), side.end());
    const auto fast = std::make_shared<WinogradConvolution>(inputs, match.tile, pads, match.relu);
    fast->set_friendly_name(match.convolution->get_friendly_name() + "/winograd");
    const auto planes = transposed(fast, {0, 3, 1, 2});
    planes->set_friendly_name(match.last->get_friendly_name());
    planes->output(0).set_names(match.last->output(0).get_names());
    match.last->output(0).replace(planes->output(0));
    last_of_[planes->output(0)] = fast;
  }

 private:
  // Neighbours hand on what they have as it is; others get one transposition for all who use their output.
  ov::Output<ov::Node> channels_last(const ov::Output<ov::Node>& planes) {
    ov::Output<ov::Node>& known = last_of_[planes];
    if (known.get_node() == nullptr) known = transposed(planes, {0, 2, 3, 1});
    return known;
  }

  std::map<ov::Output<ov::Node>, ov::Output<ov::Node>> last_of_;
};

}  // namespace

std::string_view winograd_identity() {
  const winograd::Kernels* const kernels = winograd::best_kernels();
  return kernels == nullptr ? "" : "winograd-1";
}

void add_winograd(ov::Core& core) {
  core.add_extension(std::make_shared<ov::OpExtension<WinogradConvolution>>());
}

int use_winograd(const std::shared_ptr<ov::Model>& model) {
  if (winograd::best_kernels() == nullptr) return 0;
  ov::pass::ConstantFolding().run_on_model(model);
  Rewriter rewriter;
  int replaced = 0;
  for (const auto& node : model->get_ordered_ops()) {
    const auto match = match_at(node);
    if (!match) continue;
    rewriter.replace(*match);
    ++replaced;
  }
  if (replaced > 0) model->validate_nodes_and_infer_types();
  return replaced;
}

}  // namespace imgrec
