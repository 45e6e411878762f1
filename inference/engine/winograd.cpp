#include "inference/engine/winograd.hpp"

#include <array>

namespace imgrec::winograd {
namespace {

using Row = std::array<double, 3>;

// The transform G of a filter: a row for each of the points 0, 1, -1, (2, -2 and) infinity.
constexpr std::array<Row, 4> kSmall = {{{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}};
constexpr std::array<Row, 6> kLarge = {{
    {1.0 / 4, 0, 0},
    {-1.0 / 6, -1.0 / 6, -1.0 / 6},
    {-1.0 / 6, 1.0 / 6, -1.0 / 6},
    {1.0 / 24, 1.0 / 12, 1.0 / 6},
    {1.0 / 24, -1.0 / 12, 1.0 / 6},
    {0, 0, 1},
}};

double dot(const Row& a, const Row& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

}  // namespace

int tiles(const Shape& shape) {
  const auto squares = [&](int side) { return (side + shape.tile - 1) / shape.tile; };
  return squares(shape.out_height) * squares(shape.out_width);
}

std::vector<float> transform_weights(std::span<const float> filters, const Shape& shape) {
  const auto outputs = static_cast<std::size_t>(shape.filters), inputs = static_cast<std::size_t>(shape.channels);
  const std::span<const Row> rows = shape.tile == 2 ? std::span<const Row>(kSmall) : std::span<const Row>(kLarge);
  const std::size_t all = rows.size() * rows.size();
  constexpr std::size_t kStep = kFiltersStep;
  std::vector<float> transformed(outputs * inputs * all);
  for (std::size_t k = 0; k < outputs; ++k) {
    for (std::size_t c = 0; c < inputs; ++c) {
      const float* const g = filters.data() + (k * inputs + c) * 9;
      float* out = transformed.data() + (k / kStep * all * inputs + c) * kStep + k % kStep;
      for (const Row& row : rows) {  // G g G^T
        Row half;
        for (std::size_t j = 0; j < 3; ++j) half[j] = dot(row, {g[j], g[3 + j], g[6 + j]});
        for (const Row& column : rows) {
          *out = static_cast<float>(dot(half, column));
          out += inputs * kStep;
        }
      }
    }
  }
  return transformed;
}

const Kernels* best_kernels() {
  static const Kernels* const best = avx512_kernels() != nullptr ? avx512_kernels() : avx2_kernels();
  return best;
}

}  // namespace imgrec::winograd
