// Inside inference/decode only: one function per format, and what they share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "inference/decode/image.hpp"
#include "inference/decode/rows.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec::decode {

/// Each writes the pixels as stored into `image` and returns the EXIF orientation (1 to 8). JPEG: see jpeg.hpp.
/// Of a file that ends before its last pixel the rest stays black where `limits` accept that and there is a row at
/// least; else it is an error. One that lacks only what follows its last pixel is whole.
Result<int> decode_png(ByteView bytes, const ImageConfig& limits, Image& image);
Result<int> decode_webp(ByteView bytes, const ImageConfig& limits, Image& image);
Result<int> decode_bmp(ByteView bytes, const ImageConfig& limits, Image& image);
Result<int> decode_gif(ByteView bytes, const ImageConfig& limits, Image& image);
Result<int> decode_tiff(ByteView bytes, const ImageConfig& limits, Image& image);

/// HEIC and AVIF; name: which. Upright already, and never in part. Where libheif is not installed: unsupported_format.
Result<int> decode_heif(const char* name, ByteView bytes, const ImageConfig& limits, Image& image);

/// Errors: image_corrupt for a side of 0, image_too_large beyond the limit.
Result<void> check_dimensions(const char* format, std::uint64_t width, std::uint64_t height, const ImageConfig& limits);

/// allowed: pixels, of an image of this kind.
std::unexpected<Error> too_many_pixels(const char* format, std::uint64_t width, std::uint64_t height,
                                       std::uint64_t allowed);

/// detail: what the format's library says, or nothing.
std::unexpected<Error> truncated(const char* format);
std::unexpected<Error> corrupt(const char* format, const std::string& detail);
std::unexpected<Error> unsupported(const char* format, const std::string& detail);

/// kind: as "Nikon NEF", or "".
std::unexpected<Error> camera_raw(std::string_view kind);

/// The orientation in an EXIF block that begins with its TIFF header ("II*\0" or "MM\0*"); 1 when there is none or the
/// block is damaged: a photo is not refused for its metadata.
int exif_orientation(ByteView exif);

/// Turns and mirrors according to EXIF 2.32, tag 0x0112; `turned` is only used where rows become columns.
void apply_orientation(int orientation, Image& image, Image& turned);

/// The part of a stored image of this size that becomes `region` of the upright one.
Region stored_region(const Region& region, int width, int height, int orientation);

/// Unaligned integers; the caller has checked that they lie inside.
inline std::uint32_t byte_at(ByteView bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}
inline std::uint32_t le16(ByteView b, std::size_t at) {
  return byte_at(b, at) | byte_at(b, at + 1) << 8;
}
inline std::uint32_t le32(ByteView b, std::size_t at) {
  return le16(b, at) | le16(b, at + 2) << 16;
}
inline std::uint32_t be16(ByteView b, std::size_t at) {
  return byte_at(b, at) << 8 | byte_at(b, at + 1);
}
inline std::uint32_t be32(ByteView b, std::size_t at) {
  return be16(b, at) << 16 | be16(b, at + 2);
}

}  // namespace imgrec::decode
