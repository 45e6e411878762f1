#include "lib/job/image_type.hpp"

namespace imgrec {

std::optional<ImageType> sniff_image_type(ByteView bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\xFF\xD8\xFF"sv)) return ImageType::jpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1A\n"sv)) return ImageType::png;
  if (bytes.starts_with("RIFF"sv) && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP"sv) return ImageType::webp;
  if (bytes.starts_with("GIF87a"sv) || bytes.starts_with("GIF89a"sv)) return ImageType::gif;
  // Classic TIFF (42) and BigTIFF (43), either byte order.
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv)) return ImageType::tiff;
  if (bytes.starts_with("II+\0"sv) || bytes.starts_with("MM\0+"sv)) return ImageType::tiff;
  // "BM" alone begins many a text: the two reserved words must be zero and the info header's size a known one.
  if (bytes.starts_with("BM"sv) && bytes.size() >= 18 && bytes.substr(6, 4) == "\0\0\0\0"sv) {
    const auto header_bytes = static_cast<unsigned char>(bytes[14]);
    const bool short_size = bytes.substr(15, 3) == "\0\0\0"sv;
    for (const unsigned known : {12U, 16U, 40U, 52U, 56U, 64U, 108U, 124U}) {
      if (short_size && header_bytes == known) return ImageType::bmp;
    }
  }
  return std::nullopt;
}

std::string_view media_type(ImageType type) {
  switch (type) {
    case ImageType::jpeg: return "image/jpeg";
    case ImageType::png: return "image/png";
    case ImageType::webp: return "image/webp";
    case ImageType::bmp: return "image/bmp";
    case ImageType::gif: return "image/gif";
    case ImageType::tiff: return "image/tiff";
  }
  return "application/octet-stream";
}

}  // namespace imgrec
