#include <algorithm>
#include <cstring>
#include <utility>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

// 5 to 8 are 1 to 4 with rows and columns exchanged first. Turning right (6) is transposing, then mirroring.
bool is_transposed(int orientation) {
  return orientation >= 5;
}
bool is_mirrored(int orientation) {
  return orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
}
bool is_flipped(int orientation) {
  return orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
}

void swap_pixels(std::uint8_t* a, std::uint8_t* b) {
  for (int c = 0; c < 3; ++c) std::swap(a[c], b[c]);
}

void mirror_rows(Image& image) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* left = image.row(y);
    std::uint8_t* right = left + 3 * (static_cast<std::size_t>(image.width) - 1);
    for (; left < right; left += 3, right -= 3) swap_pixels(left, right);
  }
}

void flip_top_to_bottom(Image& image) {
  for (int top = 0, bottom = image.height - 1; top < bottom; ++top, --bottom) {
    std::swap_ranges(image.row(top), image.row(top + 1), image.row(bottom));
  }
}

// In blocks, so that the columns written stay in the cache.
void transpose(const Image& from, Image& to) {
  constexpr int kBlock = 32;
  to.reset(from.height, from.width);
  for (int y0 = 0; y0 < from.height; y0 += kBlock) {
    const int y1 = std::min(y0 + kBlock, from.height);
    for (int x0 = 0; x0 < from.width; x0 += kBlock) {
      const int x1 = std::min(x0 + kBlock, from.width);
      for (int y = y0; y < y1; ++y) {
        const std::uint8_t* source = from.row(y) + 3 * static_cast<std::size_t>(x0);
        for (int x = x0; x < x1; ++x, source += 3) {
          std::uint8_t* target = to.row(x) + 3 * static_cast<std::size_t>(y);
          target[0] = source[0];
          target[1] = source[1];
          target[2] = source[2];
        }
      }
    }
  }
}

}  // namespace

int exif_orientation(ByteView exif) {
  // A SHORT, says EXIF; some programs write others.
  constexpr std::uint32_t kOrientationTag = 0x0112, kByte = 1, kShort = 3, kLong = 4;
  if (exif.size() < 8) return 1;
  const bool little = exif.substr(0, 2) == "II";
  if (!little && exif.substr(0, 2) != "MM") return 1;
  const auto u16 = [&](std::size_t at) { return little ? le16(exif, at) : be16(exif, at); };
  const auto u32 = [&](std::size_t at) { return little ? le32(exif, at) : be32(exif, at); };
  if (u16(2) != 42) return 1;
  const std::size_t directory = u32(4);
  if (directory > exif.size() || exif.size() - directory < 2) return 1;
  const std::size_t entries = u16(directory);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > exif.size()) return 1;
    if (u16(at) != kOrientationTag) continue;
    const std::uint32_t type = u16(at + 2);
    if ((type != kByte && type != kShort && type != kLong) || u32(at + 4) != 1) return 1;
    const std::uint32_t value = type == kByte ? byte_at(exif, at + 8) : type == kShort ? u16(at + 8) : u32(at + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

void apply_orientation(int orientation, Image& image, Image& turned) {
  if (is_transposed(orientation)) {
    transpose(image, turned);
    std::swap(image, turned);
  }
  if (is_mirrored(orientation)) mirror_rows(image);
  if (is_flipped(orientation)) flip_top_to_bottom(image);
}

Region stored_region(const Region& region, int width, int height, int orientation) {
  Region stored = region;
  if (is_transposed(orientation)) std::swap(width, height);
  if (is_mirrored(orientation)) stored.x = width - region.x - region.width;
  if (is_flipped(orientation)) stored.y = height - region.y - region.height;
  if (is_transposed(orientation)) stored = {stored.y, stored.x, stored.height, stored.width};
  return stored;
}

}  // namespace imgrec::decode
