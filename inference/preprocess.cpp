#include "inference/preprocess.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {
namespace {

constexpr int kFractionBits = 22;  // 32 minus 8 for the sample, minus 2 for sums that overshoot
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);
constexpr std::uint64_t kAsIsPixelsMax = 1024 * 1024;  // a ResNet needs some 100 bytes per pixel of its input

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// Where the crop lies along one side: torchvision's CenterCrop rounds half to even, like Python.
std::int64_t crop_offset(std::int64_t resized, int crop) {
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(resized - crop) / 2.0));
}

// Output samples first_out … first_out + count of a side resized from `in` to `out` samples.
void plan(int in, std::int64_t out, std::int64_t first_out, int count, Preprocessor::Pass& pass) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);  // the triangle's half width, in input samples
  pass.windows.clear();
  pass.weights.clear();
  std::vector<double> exact;
  for (std::int64_t i = first_out; i < first_out + count; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), in);
    exact.clear();
    double total = 0;
    for (int x = first; x < last; ++x) {
      const double distance = std::abs((x - centre + 0.5) / support);
      exact.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
      total += exact.back();
    }
    pass.windows.push_back({first, static_cast<int>(exact.size()), pass.weights.size()});
    for (const double weight : exact) {
      const double normal = total != 0 ? weight / total : weight;
      pass.weights.push_back(static_cast<std::int32_t>(0.5 + normal * (1 << kFractionBits)));
    }
  }
}

void resize_row(const std::uint8_t* row, const Preprocessor::Pass& pass, std::uint8_t* out) {
  for (const Preprocessor::Window& window : pass.windows) {
    const std::uint8_t* pixel = row + 3 * static_cast<std::size_t>(window.first);
    const std::int32_t* weight = pass.weights.data() + window.weights_at;
    std::int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (int i = 0; i < window.count; ++i, pixel += 3) {
      red += pixel[0] * weight[i];
      green += pixel[1] * weight[i];
      blue += pixel[2] * weight[i];
    }
    *out++ = to_byte(red);
    *out++ = to_byte(green);
    *out++ = to_byte(blue);
  }
}

std::array<std::array<float, 256>, 3> scale_of(PreprocessProfile profile) {
  // The mean and the deviation of ImageNet's colours, with which torchvision's models are trained.
  constexpr float kMean[] = {0.485F, 0.456F, 0.406F}, kDeviation[] = {0.229F, 0.224F, 0.225F};
  std::array<std::array<float, 256>, 3> scale{};
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t v = 0; v < 256; ++v) {
      const auto value = static_cast<float>(v);
      switch (profile) {
        case PreprocessProfile::imagenet: scale[c][v] = (value / 255.0F - kMean[c]) / kDeviation[c]; break;
        case PreprocessProfile::tf: scale[c][v] = value / 127.5F - 1.0F; break;
        case PreprocessProfile::as_is: scale[c][v] = value / 255.0F; break;
      }
    }
  }
  return scale;
}

}  // namespace

Preprocessor::Preprocessor(PreprocessProfile profile, int input_size)
    : profile_(profile), input_size_(input_size), scale_(scale_of(profile)) {}

Result<InputSize> Preprocessor::input_size_for(const Image& image) const {
  if (profile_ != PreprocessProfile::as_is) return InputSize{input_size_, input_size_};
  const std::uint64_t pixels = static_cast<std::uint64_t>(image.width) * static_cast<std::uint64_t>(image.height);
  if (pixels > kAsIsPixelsMax) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The image has " + std::to_string(image.width) + " x " + std::to_string(image.height) +
                    " pixels; a model that takes images as they are allows 1024 x 1024.");
  }
  return InputSize{image.width, image.height};
}

void Preprocessor::run(const Image& image, std::span<float> input) {
  if (profile_ != PreprocessProfile::as_is) return resize_and_crop(image, input);
  const std::size_t pixels = image.rgb.size() / 3;
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t c = 0; c < 3; ++c) input[c * pixels + i] = scale_[c][image.rgb[3 * i + c]];
  }
}

void Preprocessor::resize_and_crop(const Image& image, std::span<float> input) {
  const int size = input_size_;
  const std::int64_t shorter = std::llround(256.0 * size / 224.0);
  const std::int64_t short_side = std::min(image.width, image.height), long_side = std::max(image.width, image.height);
  const std::int64_t longer = shorter * long_side / short_side;  // cut off, like torchvision's int()
  const std::int64_t resized_width = image.width <= image.height ? shorter : longer;
  const std::int64_t resized_height = image.width <= image.height ? longer : shorter;
  plan(image.width, resized_width, crop_offset(resized_width, size), size, horizontal_);
  plan(image.height, resized_height, crop_offset(resized_height, size), size, vertical_);

  // The source rows that the crop's rows are made of.
  const int first_row = vertical_.windows.front().first;
  const int end_row = vertical_.windows.back().first + vertical_.windows.back().count;
  const std::size_t row_bytes = 3 * static_cast<std::size_t>(size);
  rows_.resize(row_bytes * static_cast<std::size_t>(end_row - first_row));
  for (int y = first_row; y < end_row; ++y) {
    resize_row(image.row(y), horizontal_, rows_.data() + row_bytes * static_cast<std::size_t>(y - first_row));
  }

  const std::size_t plane = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
  float* out = input.data();
  sums_.resize(row_bytes);
  for (const Window& window : vertical_.windows) {
    std::fill(sums_.begin(), sums_.end(), kHalf);
    for (int i = 0; i < window.count; ++i) {
      const std::uint8_t* row = rows_.data() + row_bytes * static_cast<std::size_t>(window.first - first_row + i);
      const std::int32_t weight = vertical_.weights[window.weights_at + static_cast<std::size_t>(i)];
      std::int32_t* sums = sums_.data();
      for (std::size_t b = 0; b < row_bytes; ++b) sums[b] += row[b] * weight;
    }
    for (int x = 0; x < size; ++x, ++out) {
      const std::int32_t* sum = sums_.data() + 3 * static_cast<std::size_t>(x);
      out[0] = scale_[0][to_byte(sum[0])];
      out[plane] = scale_[1][to_byte(sum[1])];
      out[2 * plane] = scale_[2][to_byte(sum[2])];
    }
  }
}

}  // namespace imgrec
