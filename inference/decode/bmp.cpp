// BMP, strictly: Windows and OS/2 headers, 1 to 32 bits, bit fields, RLE. No library in Debian does only this.
// Format: Microsoft, "Bitmap Storage" and BITMAPV5HEADER; cases: J. Summers, "BMP Suite".
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "BMP";
constexpr std::size_t kFileHeader = 14, kCoreHeader = 12, kInfoHeader = 40;

enum Compression : std::uint32_t { kRgb = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kAlphaBitFields = 6 };

// Where a channel lies in a pixel of 16 or 32 bits.
struct Channel {
  std::uint32_t mask = 0;
  int shift = 0, bits = 0;

  static Result<Channel> of(std::uint32_t mask) {
    Channel channel{.mask = mask, .shift = mask == 0 ? 0 : std::countr_zero(mask), .bits = std::popcount(mask)};
    const std::uint64_t run = (std::uint64_t{1} << channel.bits) - 1;
    if (mask != 0 && (mask >> channel.shift) != run) return corrupt(kName, "a colour mask has gaps");
    return channel;
  }
  std::uint8_t value(std::uint32_t pixel) const {
    if (bits == 0) return 0;
    const std::uint64_t raw = (pixel & mask) >> shift;
    if (bits >= 8) return static_cast<std::uint8_t>(raw >> (bits - 8));
    return static_cast<std::uint8_t>(raw * 255 / ((1U << bits) - 1));
  }
};

struct Header {
  std::uint32_t width = 0, height = 0;
  bool top_down = false;
  unsigned bits = 0;
  std::uint32_t compression = kRgb;
  std::uint32_t colours = 0;
  std::size_t pixels_at = 0, palette_at = 0, palette_entry = 4;
  Channel red, green, blue;
};

Result<void> read_masks(ByteView bytes, std::size_t header_bytes, Header& header) {
  std::uint32_t red = 0xFF0000, green = 0xFF00, blue = 0xFF;
  if (header.bits == 16) red = 0x7C00, green = 0x3E0, blue = 0x1F;
  if (header.compression == kBitFields || header.compression == kAlphaBitFields) {
    // In the header of versions 2 and later; after it in version 1. Either way at the same place.
    const std::size_t at = kFileHeader + kInfoHeader;
    if (bytes.size() < at + 12) return truncated(kName);
    red = le32(bytes, at), green = le32(bytes, at + 4), blue = le32(bytes, at + 8);
    if (header_bytes == kInfoHeader) header.palette_at += header.compression == kBitFields ? 12 : 16;
  }
  const auto r = Channel::of(red), g = Channel::of(green), b = Channel::of(blue);
  if (!r || !g || !b) return corrupt(kName, "a colour mask has gaps");
  if ((red & green) != 0 || (red & blue) != 0 || (green & blue) != 0) return corrupt(kName, "its colour masks overlap");
  if (header.bits == 16 && ((red | green | blue) >> 16) != 0) return corrupt(kName, "a colour mask exceeds the pixel");
  header.red = *r, header.green = *g, header.blue = *b;
  return {};
}

Result<void> check_combination(const Header& header) {
  const bool bit_fields = header.compression == kBitFields || header.compression == kAlphaBitFields;
  switch (header.bits) {
    case 1:
    case 2:
    case 4:
    case 8:
    case 16:
    case 24:
    case 32: break;
    default: return corrupt(kName, "it claims " + std::to_string(header.bits) + " bits a pixel");
  }
  if (header.compression == 4 || header.compression == 5) return unsupported(kName, "a JPEG or PNG inside");
  if (header.compression > kAlphaBitFields) return corrupt(kName, "its compression is unknown");
  if ((header.compression == kRle8 && header.bits != 8) || (header.compression == kRle4 && header.bits != 4) ||
      (bit_fields && header.bits != 16 && header.bits != 32)) {
    return corrupt(kName, "its compression does not go with its bits a pixel");
  }
  if (header.top_down && (header.compression == kRle8 || header.compression == kRle4)) {
    return corrupt(kName, "a compressed bitmap cannot be stored from the top");
  }
  return {};
}

Result<Header> read_header(ByteView bytes, const ImageConfig& limits) {
  const std::size_t header_bytes = le32(bytes, kFileHeader);
  if (bytes.size() < kFileHeader + header_bytes) return truncated(kName);
  Header header;
  header.pixels_at = le32(bytes, 10);
  header.palette_at = kFileHeader + header_bytes;
  unsigned planes = 1;
  if (header_bytes == kCoreHeader) {
    header.width = le16(bytes, 18), header.height = le16(bytes, 20);
    planes = le16(bytes, 22), header.bits = le16(bytes, 24);
    header.palette_entry = 3;
  } else {
    const auto width = static_cast<std::int32_t>(le32(bytes, 18)), height = static_cast<std::int32_t>(le32(bytes, 22));
    if (width <= 0 || height == 0) return corrupt(kName, "its width or height is not positive");
    header.width = static_cast<std::uint32_t>(width);
    header.top_down = height < 0;
    header.height = static_cast<std::uint32_t>(std::llabs(height));
    planes = le16(bytes, 26), header.bits = le16(bytes, 28);
    if (header_bytes >= kInfoHeader) header.compression = le32(bytes, 30), header.colours = le32(bytes, 46);
    if (header_bytes == 64 && header.compression >= kBitFields) return unsupported(kName, "an OS/2 compression");
  }
  if (planes != 1) return corrupt(kName, "it claims " + std::to_string(planes) + " planes");
  if (auto ok = check_combination(header); !ok) return fail(ok.error());
  if (auto ok = check_dimensions(kName, header.width, header.height, limits); !ok) return fail(ok.error());
  if (auto ok = read_masks(bytes, header_bytes, header); !ok) return fail(ok.error());
  if (header.pixels_at < header.palette_at) return corrupt(kName, "its pixels begin inside the header");
  if (header.pixels_at > bytes.size()) return truncated(kName);
  return header;
}

using Rgb = std::array<std::uint8_t, 3>;
struct Palette {
  std::array<Rgb, 256> colours{};
  unsigned count = 0;
};

Result<Palette> read_palette(ByteView bytes, const Header& header) {
  Palette palette;
  if (header.bits > 8) return palette;
  const std::uint32_t possible = 1U << header.bits;
  palette.count = header.colours == 0 ? possible : std::min(header.colours, possible);
  const std::size_t room = (header.pixels_at - header.palette_at) / header.palette_entry;
  // Too many colours that are there, 300 say, do no harm.
  if (header.colours > possible && header.colours > room) {
    return corrupt(kName, "its palette has more colours than its pixels can name");
  }
  // Fewer than claimed may be there when the pixels begin earlier; those count.
  palette.count = static_cast<unsigned>(std::min<std::size_t>(palette.count, room));
  if (palette.count == 0) return corrupt(kName, "it has no palette");
  for (unsigned i = 0; i < palette.count; ++i) {
    const std::size_t at = header.palette_at + i * header.palette_entry;
    palette.colours[i] = {static_cast<std::uint8_t>(bytes[at + 2]), static_cast<std::uint8_t>(bytes[at + 1]),
                          static_cast<std::uint8_t>(bytes[at])};
  }
  return palette;
}

bool put(const Palette& palette, unsigned index, std::uint8_t* target) {
  if (index >= palette.count) return false;
  std::copy_n(palette.colours[index].begin(), 3, target);
  return true;
}

std::unexpected<Error> bad_index() {
  return corrupt(kName, "a colour is not in the palette");
}

Result<void> read_plain(ByteView bytes, const Header& header, const Palette& palette, const ImageConfig& limits,
                        Image& image) {
  const std::size_t stride = (static_cast<std::size_t>(header.width) * header.bits + 31) / 32 * 4;
  // The last row may lack its padding.
  const std::size_t last_row = (static_cast<std::size_t>(header.width) * header.bits + 7) / 8;
  const std::size_t there = bytes.size() - header.pixels_at;
  auto rows = header.height;
  if (there < stride * (header.height - 1) + last_row) {
    rows = static_cast<std::uint32_t>(there / stride);
    if (rows == 0 || !limits.accepts_truncated()) return truncated(kName);
  }
  for (std::uint32_t y = 0; y < rows; ++y) {
    const std::size_t row_at = header.pixels_at + stride * y;
    std::uint8_t* target = image.row(static_cast<int>(header.top_down ? y : header.height - 1 - y));
    for (std::uint32_t x = 0; x < header.width; ++x, target += 3) {
      if (header.bits <= 8) {
        const std::size_t bit = static_cast<std::size_t>(x) * header.bits;
        const unsigned shift = 8 - header.bits - static_cast<unsigned>(bit % 8);
        const unsigned index = byte_at(bytes, row_at + bit / 8) >> shift & ((1U << header.bits) - 1);
        if (!put(palette, index, target)) return bad_index();
      } else if (header.bits == 24) {
        for (std::size_t c = 0; c < 3; ++c)
          target[c] = static_cast<std::uint8_t>(bytes[row_at + 3 * std::size_t{x} + 2 - c]);
      } else {
        const std::uint32_t pixel =
            header.bits == 16 ? le16(bytes, row_at + 2 * std::size_t{x}) : le32(bytes, row_at + 4 * std::size_t{x});
        target[0] = header.red.value(pixel), target[1] = header.green.value(pixel),
        target[2] = header.blue.value(pixel);
      }
    }
  }
  return {};
}

// RLE4 and RLE8. Pixels that are skipped over keep the first colour.
class RleReader {
 public:
  RleReader(ByteView bytes, const Header& header, const Palette& palette, Image& image)
      : bytes_(bytes), at_(header.pixels_at), header_(header), palette_(palette), image_(image) {}

  /// The last pixel has come, or was skipped: all that may be missing is the end mark.
  bool has_all_pixels() const { return y_ >= header_.height || (y_ + 1 == header_.height && x_ == header_.width); }
  bool has_a_row() const { return y_ > 0; }

  Result<void> run() {
    for (int y = 0; y < image_.height; ++y) {
      for (int x = 0; x < image_.width; ++x) put(palette_, 0, image_.row(y) + 3 * static_cast<std::size_t>(x));
    }
    while (true) {
      if (at_ + 2 > bytes_.size()) return has_all_pixels() ? Result<void>() : truncated(kName);
      const unsigned count = byte_at(bytes_, at_), value = byte_at(bytes_, at_ + 1);
      at_ += 2;
      if (count > 0) {
        if (auto ok = encoded_run(count, value); !ok) return ok;
      } else if (value == 0) {
        x_ = 0, ++y_;
      } else if (value == 1) {
        return {};
      } else if (value == 2) {
        if (at_ + 2 > bytes_.size()) return truncated(kName);
        x_ += byte_at(bytes_, at_), y_ += byte_at(bytes_, at_ + 1);
        at_ += 2;
      } else if (auto ok = absolute_run(value); !ok) {
        return ok;
      }
    }
  }

 private:
  Result<void> encoded_run(unsigned count, unsigned value) {
    for (unsigned i = 0; i < count; ++i) {
      if (auto ok = pixel(nibble_or_byte(value, i)); !ok) return ok;
    }
    return {};
  }
  Result<void> absolute_run(unsigned count) {
    const std::size_t used = header_.compression == kRle8 ? count : (count + 1) / 2;
    if (at_ + used > bytes_.size()) return truncated(kName);
    for (unsigned i = 0; i < count; ++i) {
      const std::size_t byte = header_.compression == kRle8 ? i : i / 2;
      if (auto ok = pixel(nibble_or_byte(byte_at(bytes_, at_ + byte), i)); !ok) return ok;
    }
    at_ += used + used % 2;
    return {};
  }
  unsigned nibble_or_byte(unsigned value, unsigned i) const {
    if (header_.compression == kRle8) return value;
    return i % 2 == 0 ? value >> 4 : value & 15;
  }
  Result<void> pixel(unsigned index) {
    if (x_ >= header_.width || y_ >= header_.height) return corrupt(kName, "a run leaves the image");
    std::uint8_t* target = image_.row(static_cast<int>(header_.height - 1 - y_)) + 3 * std::size_t{x_};
    ++x_;
    if (!put(palette_, index, target)) return bad_index();
    return {};
  }

  ByteView bytes_;
  std::size_t at_;
  const Header& header_;
  const Palette& palette_;
  Image& image_;
  std::uint32_t x_ = 0, y_ = 0;
};

Result<void> read_runs(ByteView bytes, const Header& header, const Palette& palette, const ImageConfig& limits,
                       Image& image) {
  RleReader reader(bytes, header, palette, image);
  auto read = reader.run();
  const bool is_cut = !read && read.error().code == "image_truncated";
  if (is_cut && limits.accepts_truncated() && reader.has_a_row()) return {};
  return read;
}

}  // namespace

Result<int> decode_bmp(ByteView bytes, const ImageConfig& limits, Image& image) {
  const auto header = read_header(bytes, limits);
  if (!header) return fail(header.error());
  const auto palette = read_palette(bytes, *header);
  if (!palette) return fail(palette.error());
  image.reset(static_cast<int>(header->width), static_cast<int>(header->height));
  const bool rle = header->compression == kRle8 || header->compression == kRle4;
  const Result<void> read =
      rle ? read_runs(bytes, *header, *palette, limits, image) : read_plain(bytes, *header, *palette, limits, image);
  if (!read) return fail(read.error());
  return 1;
}

}  // namespace imgrec::decode
