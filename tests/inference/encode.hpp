// Small images in every format, encoded with the formats' own libraries (which are not what is tested, but what
// refuses).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inference/decode/image.hpp"

namespace imgrec::test {

/// Every pixel another colour, no symmetry.
Image gradient(int width, int height);

/// No two runs of it alike: long codes, large coefficients.
Image noise(int width, int height, std::uint64_t seed);

struct PngOptions {
  int bit_depth = 8;
  bool grey = false, alpha = false, interlaced = false;
  int palette = 0;     // colours; pixels are then (x + y) % palette
  std::string exif{};  // an eXIf chunk
};
std::string encode_png(const Image& image, const PngOptions& options = {});

struct JpegOptions {
  bool grey = false, cmyk = false, progressive = false;
  int quality = 95;
  int restart_rows = 0;
  std::string exif{};          // an APP1 segment, without its "Exif\0\0"
  int luma_h = 2, luma_v = 2;  // samples of brightness for one of colour: 2 and 2 is 4:2:0
  bool optimised = false;      // Huffman tables of its own, as for all progressive ones
  int restart_mcus = 0;
  bool one_scan = true;  // false: a scan for each component
  bool arithmetic = false;
};
std::string encode_jpeg(const Image& image, const JpegOptions& options = {});

/// Lossless; with alpha every pixel is half transparent.
std::string encode_webp(const Image& image, bool alpha = false);

/// Pixels are (x + y) % 200 in a grey palette.
std::string encode_gif(int width, int height, bool interlaced = false);

struct TiffOptions {
  int bits = 8;  // 1: whether the red is above 127
  bool grey = false, tiled = false, lzw = false, alpha = false;
  int orientation = 1;
  int compression = 0;     // one of libtiff's; 0: as `lzw` says
  bool planar = false;     // a plane for each colour
  bool predictor = false;  // differences between neighbours; LZW and Deflate
  const char* mode = "w";  // of TIFFOpen: "wb" big-endian, "w8" BigTIFF
};
std::string encode_tiff(const Image& image, const TiffOptions& options = {});

/// bits: 16 (5-5-5), 24 or 32; height_sign -1: rows from the top.
std::string encode_bmp(const Image& image, int bits = 24, int height_sign = 1);

/// An EXIF block with nothing but an orientation.
std::string exif_block(int orientation, bool little_endian);

/// One value of a directory of a TIFF, LONG (or ASCII, padded to a multiple of 4) whatever the tag.
struct TiffTag {
  std::uint32_t tag = 0;
  std::uint32_t value = 0;
  std::string text{};
};
/// A little-endian TIFF: `data` at byte 8, then the directory; and those of `sub`, where there are any, in its SubIFDs.
std::string tiff_of(const std::vector<TiffTag>& tags, const std::string& data, const std::vector<TiffTag>& sub = {});

std::string be32_text(std::uint32_t value);
std::string le32_text(std::uint32_t value);
std::string le16_text(std::uint32_t value);

}  // namespace imgrec::test
