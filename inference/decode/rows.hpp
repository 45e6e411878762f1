// How pixels go from a decoder to who needs them: some rows at a time, only the part that is wanted, no whole image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "inference/decode/image.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// A part of an image, in pixels from its top left corner.
struct Region {
  int x = 0, y = 0, width = 0, height = 0;
  friend bool operator==(const Region&, const Region&) = default;
};

/// Bytes that can be read behind the end of each row, whatever they hold, so that vectors need no special ends.
inline constexpr std::size_t kRowSlack = 64;

/// RGB rows, three bytes per pixel, `stride` bytes from one to the next; valid during the call that passes them.
struct Rows {
  const std::uint8_t* rgb = nullptr;
  std::size_t stride = 0;
  int count = 0;
  const std::uint8_t* row(int i) const { return rgb + stride * static_cast<std::size_t>(i); }
};

class RowSink {
 public:
  virtual ~RowSink() = default;
  /// How many times smaller (1, 2, 4 or 8) an image of this size may come, where its format can be decoded so, and
  /// where both sides are multiples of that. Each pixel then stands for so many in each direction.
  virtual int reduction_max(int, int) const { return 1; }
  /// Before the first row: the part of an image of this size that is wanted, not empty. Called again when decoding has
  /// to start again; rows put so far are then void. Errors end the decoding.
  virtual Result<Region> begin(int width, int height) = 0;
  /// The next rows of that part, from its top, all of its width. Nothing of an image counts before all rows are there
  /// and its decoding has ended without an error.
  virtual void put(const Rows& rows) = 0;
};

/// put(Rows) for all rows of a part of an image that is there.
template <class Put>
void put_part(const Image& image, const Region& part, Put&& put) {
  const std::size_t stride = 3 * static_cast<std::size_t>(image.width),
                    row_bytes = 3 * static_cast<std::size_t>(part.width), left = 3 * static_cast<std::size_t>(part.x),
                    image_bytes = stride * static_cast<std::size_t>(image.height);
  const auto has_slack = [&](int y) {
    return stride * static_cast<std::size_t>(y) + left + row_bytes + kRowSlack <= image_bytes;
  };
  int as_they_are = part.height;  // the image's last rows (of a narrow one many) have too little behind them
  while (as_they_are > 0 && !has_slack(part.y + as_they_are - 1)) --as_they_are;
  if (as_they_are > 0) put(Rows{.rgb = image.row(part.y) + left, .stride = stride, .count = as_they_are});
  std::vector<std::uint8_t> row(row_bytes + kRowSlack);
  for (int y = as_they_are; y < part.height; ++y) {
    std::memcpy(row.data(), image.row(part.y + y) + left, row_bytes);
    put(Rows{.rgb = row.data(), .stride = row.size(), .count = 1});
  }
}

}  // namespace imgrec
