#include "inference/decode/decode.hpp"

#include <exception>
#include <new>

#include "inference/decode/formats.hpp"
#include "lib/job/image_type.hpp"

namespace imgrec {
namespace {

// Formats' own row buffers grow with the sides; no format but PNG and TIFF could hold more anyway.
constexpr std::uint64_t kSideMax = 65'535;

// What is kept between images: a 12-megapixel photo. A larger one gives its memory back.
constexpr std::size_t kKeptBytes = 36 * kMiB;

void give_back(Image& image) {
  if (image.rgb.capacity() > kKeptBytes) image.rgb = {};
}

Result<int> decode_by_type(ByteView bytes, const ImageConfig& limits, Image& image) {
  if (bytes.empty()) return fail(ErrorKind::invalid, "unsupported_format", "The file is empty.");
  const auto type = sniff_image_type(bytes);
  if (!type) {
    return fail(ErrorKind::invalid, "unsupported_format",
                "The file is no image of a known format (" + std::string(kImageTypeNames) + ").");
  }
  switch (*type) {
    case ImageType::jpeg: return decode::decode_jpeg(bytes, limits, image);
    case ImageType::png: return decode::decode_png(bytes, limits, image);
    case ImageType::webp: return decode::decode_webp(bytes, limits, image);
    case ImageType::bmp: return decode::decode_bmp(bytes, limits, image);
    case ImageType::gif: return decode::decode_gif(bytes, limits, image);
    case ImageType::tiff: return decode::decode_tiff(bytes, limits, image);
  }
  return fail(ErrorKind::bug, "unknown_image_type", "An image type without a decoder.");
}

}  // namespace

Result<const Image*> ImageDecoder::decode(ByteView bytes) try {
  image_.clear();
  give_back(image_);
  turned_.clear();
  give_back(turned_);
  if (bytes.size() > limits_.bytes_max) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The file has " + std::to_string(bytes.size()) + " bytes; allowed are " +
                    std::to_string(limits_.bytes_max) + ".");
  }
  const Result<int> orientation = decode_by_type(bytes, limits_, image_);
  if (!orientation) {
    image_.clear();  // a failed decode may have written some rows
    return fail(orientation.error());
  }
  decode::apply_orientation(*orientation, image_, turned_);
  return &image_;
} catch (const std::bad_alloc&) {
  image_ = {};
  turned_ = {};
  return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to decode the image.");
}

namespace decode {

Result<void> check_dimensions(const char* format, std::uint64_t width, std::uint64_t height,
                              const ImageConfig& limits) {
  if (width == 0 || height == 0) return corrupt(format, "it has a side of 0 pixels");
  if (width > kSideMax || height > kSideMax || width * height > limits.pixels_max) {
    return fail(ErrorKind::invalid, "image_too_large",
                std::string("The ") + format + " has " + std::to_string(width) + " x " + std::to_string(height) +
                    " pixels; allowed are " + std::to_string(limits.pixels_max) + " in all and " +
                    std::to_string(kSideMax) + " a side.");
  }
  return {};
}

std::unexpected<Error> truncated(const char* format) {
  return fail(ErrorKind::invalid, "image_truncated",
              std::string("The ") + format + " ends early; perhaps it was not transferred completely.");
}

std::unexpected<Error> corrupt(const char* format, const std::string& detail) {
  return fail(ErrorKind::invalid, "image_corrupt", std::string("The ") + format + " is damaged: " + detail + ".");
}

std::unexpected<Error> unsupported(const char* format, const std::string& detail) {
  return fail(ErrorKind::invalid, "unsupported_format",
              std::string("This kind of ") + format + " is not supported: " + detail + ".");
}

}  // namespace decode
}  // namespace imgrec
