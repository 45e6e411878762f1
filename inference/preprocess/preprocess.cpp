#include "inference/preprocess/preprocess.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace imgrec {
namespace {

constexpr std::uint64_t kAsIsPixelsMax = 1024 * 1024;  // a ResNet needs some 100 bytes per pixel of its input

// So many times larger than after the resize a reduced image still is, at least, on its shorter side. Measured on 100
// photos enlarged to 1, 1.6, 2.3 and 12 megapixels with grain, a ResNet-18 and a MobileNetV2 in f32, reduced against
// whole, each at the very edge:
//   1    the best label stays for 95 of 100, scores move by up to 0.34
//   2    99 and 99, up to 0.16
//   2.5  99 and 100, up to 0.085 (0.011 on average); labels that change had scores less than 0.01 apart
//   3    99 and 100, up to 0.059
// 2.5 lets 12 megapixels be decoded at a quarter, in 13 ms instead of 24, and photos below 1280 pixels as they are.
constexpr double kReducedOverResized = 2.5;

// Where the crop lies along one side: torchvision's CenterCrop rounds half to even, like Python.
std::int64_t crop_offset(std::int64_t resized, int crop) {
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(resized - crop) / 2.0));
}

// By the profile, or by hand; of red, green and blue, in this order.
resample::Scaling scaling_of(const PreprocessOptions& options) {
  // The mean and the deviation of ImageNet's colours, with which torchvision's models are trained.
  constexpr double kMean[] = {0.485, 0.456, 0.406}, kDeviation[] = {0.229, 0.224, 0.225};
  resample::Scaling scaling;
  for (std::size_t c = 0; c < 3; ++c) {
    double scale = 1, offset = 0;
    if (options.scaling) {
      const std::size_t at = options.channels == ChannelOrder::rgb ? c : 2 - c;
      scale = 1 / options.scaling->scale[at];
      offset = -options.scaling->mean[at] / options.scaling->scale[at];
    } else if (options.profile == PreprocessProfile::imagenet) {
      scale = 1 / 255.0 / kDeviation[c];
      offset = -kMean[c] / kDeviation[c];
    } else if (options.profile == PreprocessProfile::tf) {
      scale = 1 / 127.5;
      offset = -1;
    } else if (options.profile != PreprocessProfile::raw) {
      scale = 1 / 255.0;
    }
    scaling.scale[c] = static_cast<float>(scale);
    scaling.offset[c] = static_cast<float>(offset);
  }
  return scaling;
}

}  // namespace

PreprocessOptions preprocess_options(const ModelManifest& manifest) {
  PreprocessOptions options{.profile = manifest.profile,
                            .input_size = manifest.input_size,
                            .crop = manifest.crop,
                            .scaling = manifest.scaling,
                            .channels = manifest.channels};
  if (manifest.element == ElementType::uint8) options.scaling = ColourScaling{};
  return options;
}

Preprocessor::Preprocessor(const PreprocessOptions& options, const resample::Kernels& kernels)
    : options_(options), input_size_(options.input_size), kernels_(kernels), scaling_(scaling_of(options)) {
  assert(input_size_ > 0 && options.crop > 0 && options.crop <= 1);
}

Result<InputSize> Preprocessor::input_size_for(int width, int height) const {
  if (!as_is()) return InputSize{input_size_, input_size_};
  const std::uint64_t pixels = static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  if (pixels > kAsIsPixelsMax) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The image has " + std::to_string(width) + " x " + std::to_string(height) +
                    " pixels; a model that takes images as they are allows 1024 x 1024.");
  }
  return InputSize{width, height};
}

std::int64_t Preprocessor::shorter_side() const {
  return std::llround(input_size_ / options_.crop);
}

int Preprocessor::reduction_max(int width, int height) const {
  if (as_is()) return 1;
  int reduction = 8;
  const double enough = kReducedOverResized * static_cast<double>(shorter_side());
  while (reduction > 1 && std::min(width, height) < reduction * enough) reduction /= 2;
  return reduction;
}

void Preprocessor::plan(int width, int height) {
  const int size = input_size_;
  const std::int64_t shorter = shorter_side();
  const std::int64_t short_side = std::min(width, height), long_side = std::max(width, height);
  const std::int64_t longer = shorter * long_side / short_side;  // cut off, like torchvision's int()
  const std::int64_t resized_width = width <= height ? shorter : longer;
  const std::int64_t resized_height = width <= height ? longer : shorter;
  resample::plan(width, resized_width, crop_offset(resized_width, size), size, horizontal_.pass);
  horizontal_.finish(kernels_.wants_quads);
  resample::plan(height, resized_height, crop_offset(resized_height, size), size, vertical_);
  ring_rows_ = vertical_.count_max();
  constexpr std::size_t kStep = 32;  // of the kernels
  row_bytes_ = (4 * static_cast<std::size_t>(size) + kStep - 1) / kStep * kStep;
  ring_.resize(row_bytes_ * static_cast<std::size_t>(ring_rows_));
  out_row_.resize(row_bytes_);
}

Region Preprocessor::begin(int width, int height, std::span<float> input) {
  assert(width > 0 && height > 0 && (as_is() || input.size() == InputSize{input_size_, input_size_}.floats()));
  input_ = input;
  next_row_ = next_out_ = 0;
  const bool planned = width == width_ && height == height_;
  width_ = width;
  height_ = height;
  if (as_is()) return {0, 0, width, height};
  if (!planned) plan(width, height);
  next_row_ = vertical_.begin();
  return {horizontal_.pass.begin(), vertical_.begin(), horizontal_.pass.end() - horizontal_.pass.begin(),
          vertical_.end() - vertical_.begin()};
}

void Preprocessor::put(const Rows& rows) {
  for (int i = 0; i < rows.count; ++i) {
    if (as_is())
      put_as_is(rows.row(i));
    else
      put_row(rows.row(i));
  }
}

std::uint8_t* Preprocessor::ring_row(int y) {
  return ring_.data() + row_bytes_ * static_cast<std::size_t>(y % ring_rows_);
}

// A row goes through the horizontal pass at once; then all output rows are made of which it is the last part.
void Preprocessor::put_row(const std::uint8_t* rgb) {
  const int y = next_row_++;
  kernels_.horizontal(rgb, horizontal_, ring_row(y));
  const std::size_t plane = static_cast<std::size_t>(input_size_) * static_cast<std::size_t>(input_size_);
  for (; next_out_ < input_size_; ++next_out_) {
    const resample::Window& window = vertical_.windows[static_cast<std::size_t>(next_out_)];
    if (window.first + window.count > y + 1) return;
    rows_.clear();
    for (int i = 0; i < window.count; ++i) rows_.push_back(ring_row(window.first + i));
    kernels_.vertical(rows_, vertical_, static_cast<std::size_t>(next_out_), row_bytes_, out_row_.data());
    float* out = input_.data() + static_cast<std::size_t>(next_out_) * static_cast<std::size_t>(input_size_);
    kernels_.to_planes(out_row_.data(), input_size_, scaling_, out, plane);
    const bool whole = next_out_ + 1 == input_size_;
    // Once for an image, in 10 to 20 us: the kernels know one order of colours.
    if (whole && options_.channels == ChannelOrder::bgr)
      std::ranges::swap_ranges(input_.first(plane), input_.subspan(2 * plane, plane));
  }
}

void Preprocessor::put_as_is(const std::uint8_t* rgb) {
  const auto width = static_cast<std::size_t>(width_);
  const std::size_t plane = width * static_cast<std::size_t>(height_);
  float* out = input_.data() + width * static_cast<std::size_t>(next_row_++);
  for (std::size_t c = 0; c < 3; ++c) {
    float* const colour = out + plane * (options_.channels == ChannelOrder::rgb ? c : 2 - c);
    for (std::size_t x = 0; x < width; ++x) {
      const auto value = static_cast<float>(rgb[3 * x + c]);
      // A division by 255 and a product with 1/255 differ in the last bit.
      colour[x] = options_.scaling ? value * scaling_.scale[c] + scaling_.offset[c] : value / 255.0F;
    }
  }
}

void Preprocessor::run(const Image& image, std::span<float> input) {
  const Region region = begin(image.width, image.height, input);
  put_part(image, region, [this](const Rows& rows) { put(rows); });
}

}  // namespace imgrec
