// A decoded image: 8-bit RGB, rows from the top, three bytes per pixel, no padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace imgrec {

struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  std::uint8_t* row(int y) { return rgb.data() + 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(y); }
  const std::uint8_t* row(int y) const {
    return rgb.data() + 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(y);
  }
  /// Makes room, all black, so that no pixel of an earlier image can show through.
  void reset(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    rgb.assign(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
  }
  void clear() {
    width = height = 0;
    rgb.clear();
  }
};

}  // namespace imgrec
