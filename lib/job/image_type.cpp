#include "lib/job/image_type.hpp"

#include <algorithm>
#include <array>

namespace imgrec {

using namespace std::string_view_literals;

namespace {

// ISO/IEC 14496-12: a box "ftyp" comes first, with a brand, a version, and the brands that it is compatible with. Those
// of images: ISO/IEC 23008-12, annex B, and the specification of AVIF.
std::optional<ImageType> sniff_heif(ByteView bytes) {
  if (bytes.size() < 16 || bytes.substr(4, 4) != "ftyp"sv) return std::nullopt;
  std::size_t box_bytes = 0;
  for (std::size_t i = 0; i < 4; ++i) box_bytes = box_bytes << 8 | static_cast<unsigned char>(bytes[i]);
  bool heic = false;
  for (std::size_t at = 8; at + 4 <= std::min(box_bytes, bytes.size()); at += at == 8 ? 8 : 4) {
    const ByteView brand = bytes.substr(at, 4);
    if (brand == "avif"sv) return ImageType::avif;
    for (const auto known : {"heic"sv, "heix"sv, "heim"sv, "heis"sv, "mif1"sv}) heic = heic || brand == known;
  }
  if (heic) return ImageType::heic;
  return std::nullopt;
}

}  // namespace

std::optional<ImageType> sniff_image_type(ByteView bytes) {
  if (const auto heif = sniff_heif(bytes)) return heif;
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
    case ImageType::heic: return "image/heic";
    case ImageType::avif: return "image/avif";
  }
  return "application/octet-stream";
}

namespace {

// By the brand of a box "ftyp".
std::string_view iso_media_kind(std::string_view brand) {
  if (brand == "crx ") return "Canon CR3";
  if (brand == "jxl ") return "JPEG XL";
  return "a video";
}

struct OtherKind {
  std::string_view begin, name;
};

constexpr std::array<OtherKind, 7> kRawKinds = {{{"IIRO", "Olympus ORF"},
                                                 {"IIRS", "Olympus ORF"},
                                                 {"MMOR", "Olympus ORF"},
                                                 {"IIU\0"sv, "Panasonic RW2"},
                                                 {"FUJIFILMCCD-RAW", "Fujifilm RAF"},
                                                 {"FOVb", "Sigma X3F"},
                                                 {"\0MRM"sv, "Minolta MRW"}}};
constexpr std::array<OtherKind, 11> kOtherKinds = {{{"%PDF", "a PDF"},
                                                    {"\0\0\0\x0CjP  \r\n\x87\n"sv, "JPEG 2000"},
                                                    {"\xFF\x4F\xFF\x51", "JPEG 2000"},
                                                    {"\0\0\0\x0CJXL \r\n\x87\n"sv, "JPEG XL"},
                                                    {"\xFF\x0A", "JPEG XL"},
                                                    {"8BPS", "a Photoshop document"},
                                                    {"\0\0\1\0"sv, "an icon (ICO)"},
                                                    {"<svg", "SVG"},
                                                    {"PK\3\4", "a ZIP archive"},
                                                    {"\x1A\x45\xDF\xA3", "a video"},
                                                    {"qoif", "QOI"}}};

}  // namespace

std::string unknown_format_message(ByteView bytes) {
  std::string accepted = "Accepted are ";
  accepted.append(kImageTypeNames).append(".");
  if (bytes.starts_with("II\x1A\0\0\0HEAPCCDR"sv)) return camera_raw_message("Canon CRW");
  for (const OtherKind& kind : kRawKinds) {
    if (bytes.starts_with(kind.begin)) return camera_raw_message(kind.name);
  }
  std::string_view name;
  if (bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp") name = iso_media_kind(bytes.substr(8, 4));
  for (const OtherKind& kind : kOtherKinds) {
    if (bytes.starts_with(kind.begin)) name = kind.name;
  }
  if (name == "Canon CR3") return camera_raw_message(name);
  if (name.empty()) return "The file is no image in a known format. " + accepted;
  return "The file is " + std::string(name) + ". " + accepted + " Export or convert it to one of these, such as JPEG.";
}

std::string camera_raw_message(std::string_view kind) {
  return "The file is camera RAW" + (kind.empty() ? std::string() : " (" + std::string(kind) + ")") +
         ", the data of a sensor and not yet a picture. Send the JPEG that the camera stored beside it, or export one.";
}

}  // namespace imgrec
