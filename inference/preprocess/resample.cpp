#include "inference/preprocess/resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace imgrec::resample {
namespace {

constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr std::int32_t kLowMask = (1 << kLowBits) - 1;

WeightPair pair_of(std::int32_t first, std::int32_t second) {
  return {first >> kLowBits | (second >> kLowBits) << 16, (first & kLowMask) | (second & kLowMask) << 16};
}

void horizontal(const std::uint8_t* row, const HorizontalPlan& plan, std::uint8_t* out) {
  for (const Window& window : plan.pass.windows) {
    const std::uint8_t* pixel = row + 3 * static_cast<std::size_t>(window.first - plan.offset);
    const std::int32_t* weight = plan.pass.weights.data() + window.weights_at;
    std::int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (int i = 0; i < window.count; ++i, pixel += 3) {
      red += pixel[0] * weight[i];
      green += pixel[1] * weight[i];
      blue += pixel[2] * weight[i];
    }
    out[0] = to_byte(red);
    out[1] = to_byte(green);
    out[2] = to_byte(blue);
    out[3] = 0;
    out += 4;
  }
}

void vertical(std::span<const std::uint8_t* const> rows, const Pass& pass, std::size_t output, std::size_t bytes,
              std::uint8_t* out) {
  constexpr std::size_t kBlock = 64;
  const std::int32_t* weights = pass.weights.data() + pass.windows[output].weights_at;
  std::int32_t sums[kBlock];
  for (std::size_t at = 0; at < bytes; at += kBlock) {
    const std::size_t count = std::min(kBlock, bytes - at);
    std::fill_n(sums, kBlock, kHalf);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint8_t* row = rows[i] + at;
      for (std::size_t b = 0; b < count; ++b) sums[b] += row[b] * weights[i];
    }
    for (std::size_t b = 0; b < count; ++b) out[at + b] = to_byte(sums[b]);
  }
}

void to_planes(const std::uint8_t* pixels, int count, const Scaling& scaling, float* out, std::size_t plane) {
  for (std::size_t c = 0; c < 3; ++c) {
    for (int i = 0; i < count; ++i) {
      const float scaled = static_cast<float>(pixels[4 * i + static_cast<int>(c)]) * scaling.scale[c];
      out[c * plane + static_cast<std::size_t>(i)] = scaled + scaling.offset[c];
    }
  }
}

}  // namespace

int Pass::count_max() const {
  int most = 0;
  for (const Window& window : windows) most = std::max(most, window.count);
  return most;
}

void plan(int in, std::int64_t out, std::int64_t first_out, int count, Pass& pass) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);  // the triangle's half width, in input samples
  pass.windows.clear();
  pass.weights.clear();
  pass.pairs.clear();
  pass.pairs_at.clear();
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
    pass.pairs_at.push_back(pass.pairs.size());
    for (std::size_t at = pass.windows.back().weights_at; at < pass.weights.size(); at += 2) {
      pass.pairs.push_back(pair_of(pass.weights[at], at + 1 < pass.weights.size() ? pass.weights[at + 1] : 0));
    }
  }
}

// Of one of the samples from the output's start on; outputs beyond the last are like the last.
int HorizontalPlan::weight(int output, int sample) const {
  const Window& window = pass.windows[std::min(static_cast<std::size_t>(output), pass.windows.size() - 1)];
  const int index = starts[static_cast<std::size_t>(output)] + offset + sample - window.first;
  return index >= 0 && index < window.count ? pass.weights[window.weights_at + static_cast<std::size_t>(index)] : 0;
}

void HorizontalPlan::finish(bool quads_wanted) {
  offset = pass.begin();
  const int used = pass.end() - offset;
  groups = (pass.count_max() + 3) / 4;
  const int outputs = static_cast<int>(pass.windows.size());
  pairs.clear();
  quads.clear();
  starts.clear();
  if (used < 4 * groups) return;
  const int padded = (outputs + kVectorOutputs - 1) / kVectorOutputs * kVectorOutputs;
  for (int i = 0; i < padded; ++i) {
    const Window& window = pass.windows[static_cast<std::size_t>(std::min(i, outputs - 1))];
    starts.push_back(std::min(window.first - offset, used - 4 * groups));
  }
  if (!quads_wanted || !plan_quads()) plan_pairs();
}

// For each group of four outputs and each two samples: the high parts of the samples' weights for the outputs 0 to 3,
// then the low parts. Two weights side by side make one 32-bit sum; they are there for four colours.
void HorizontalPlan::plan_pairs() {
  const int outputs = static_cast<int>(starts.size());
  for (int first = 0; first < outputs; first += kVectorOutputs) {
    for (int sample = 0; sample < 4 * groups; sample += 2) {
      for (const bool high : {true, false}) {
        std::int16_t* to = pairs.emplace_back().lanes.data();
        for (int output = first; output < first + kVectorOutputs; ++output, to += 8) {
          for (int i = 0; i < 2; ++i) {
            const std::int32_t value = weight(output, sample + i);
            const auto part = static_cast<std::int16_t>(high ? value >> kLowBits : value & kLowMask);
            for (int colour = 0; colour < 4; ++colour) to[2 * colour + i] = part;
          }
        }
      }
    }
  }
}

// False: four outputs reach too far apart.
bool HorizontalPlan::plan_quads() {
  for (std::size_t first = 0; first < starts.size(); first += kVectorOutputs) {
    if (3 * (starts[first + kVectorOutputs - 1] - starts[first] + 4 * groups) > 64) return false;
  }
  quads.resize(starts.size() / kVectorOutputs * static_cast<std::size_t>(groups));
  Quads* quad = quads.data();
  for (std::size_t first = 0; first < starts.size(); first += kVectorOutputs) {
    for (int group = 0; group < groups; ++group, ++quad) {
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t output = first + i / 4;
        const int sample = 4 * group + static_cast<int>(i % 4);
        const std::int32_t value = weight(static_cast<int>(output), sample);
        const auto low = static_cast<std::int8_t>(value), middle = static_cast<std::int8_t>((value - low) >> 8);
        const auto high = static_cast<std::int8_t>((value - low - 256 * middle) >> 16);
        const int at = 3 * (starts[output] - starts[first] + sample);
        for (std::size_t colour = 0; colour < 4; ++colour) {
          const std::size_t to = 16 * (i / 4) + 4 * colour + i % 4;
          // The fourth colour is whatever; nobody looks at it.
          quad->at[to] = static_cast<std::uint8_t>(at + std::min(static_cast<int>(colour), 2));
          quad->high[to] = high;
          quad->middle[to] = middle;
          quad->low[to] = low;
        }
      }
    }
  }
  return true;
}

const Kernels& portable_kernels() {
  static constexpr Kernels kKernels{"portable", false, horizontal, vertical, to_planes};
  return kKernels;
}

const Kernels& best_kernels() {
  for (const Kernels* kernels : {avx512_kernels(), avx2_kernels(), neon_kernels()}) {
    if (kernels != nullptr) return *kernels;
  }
  return portable_kernels();
}

}  // namespace imgrec::resample
