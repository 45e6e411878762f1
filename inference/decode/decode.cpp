#include "inference/decode/decode.hpp"

#include <cstring>
#include <new>

#include "inference/decode/formats.hpp"
#include "lib/job/image_type.hpp"

namespace imgrec {
namespace {

// What is kept between images: a 12-megapixel photo. A larger one gives its memory back.
constexpr std::size_t kKeptBytes = 36 * kMiB;

void release(Image& image) {
  if (image.rgb.capacity() > kKeptBytes) image.rgb = {};
}

// Of those formats that are decoded as a whole.
Result<int> decode_by_type(ImageType type, ByteView bytes, const ImageConfig& limits, Image& image) {
  switch (type) {
    case ImageType::png: return decode::decode_png(bytes, limits, image);
    case ImageType::webp: return decode::decode_webp(bytes, limits, image);
    case ImageType::bmp: return decode::decode_bmp(bytes, limits, image);
    case ImageType::gif: return decode::decode_gif(bytes, limits, image);
    case ImageType::tiff: return decode::decode_tiff(bytes, limits, image);
    case ImageType::heic: return decode::decode_heif("HEIC", bytes, limits, image);
    case ImageType::avif: return decode::decode_heif("AVIF", bytes, limits, image);
    case ImageType::jpeg: break;
  }
  return fail(ErrorKind::bug, "unknown_image_type", "An image type without a decoder.");
}

Result<void> put_region(const Image& image, RowSink& sink) {
  const auto region = sink.begin(image.width, image.height);
  if (!region) return fail(region.error());
  put_part(image, *region, [&](const Rows& rows) { sink.put(rows); });
  return {};
}

// Passes an upright image's rows on as they come. One that has to be turned is collected first, as far as it is wanted.
class Turner final : public decode::StoredRowSink {
 public:
  Turner(RowSink& sink, Image& image, Image& turned) : sink_(sink), image_(image), turned_(turned) {}

  // The sides' order makes no difference to what is asked.
  int reduction_max(int width, int height) const override { return sink_.reduction_max(width, height); }

  Result<Region> begin(int width, int height, int orientation) override {
    orientation_ = orientation;
    next_row_ = 0;
    if (orientation == 1) return sink_.begin(width, height);
    const auto region = orientation >= 5 ? sink_.begin(height, width) : sink_.begin(width, height);
    if (!region) return fail(region.error());
    const Region stored = decode::stored_region(*region, width, height, orientation);
    image_.reset(stored.width, stored.height);
    return stored;
  }

  void put(const Rows& rows) override {
    if (orientation_ == 1) return sink_.put(rows);
    for (int i = 0; i < rows.count; ++i) {
      std::memcpy(image_.row(next_row_++), rows.row(i), 3 * static_cast<std::size_t>(image_.width));
    }
  }

  void finish() {
    if (orientation_ == 1) return;
    decode::apply_orientation(orientation_, image_, turned_);
    put_part(image_, {0, 0, image_.width, image_.height}, [this](const Rows& rows) { sink_.put(rows); });
  }

 private:
  RowSink& sink_;
  Image &image_, &turned_;
  int orientation_ = 1, next_row_ = 0;
};

class WholeImage final : public RowSink {
 public:
  explicit WholeImage(Image& image) : image_(image) {}
  Result<Region> begin(int width, int height) override {
    image_.reset(width, height);
    next_row_ = 0;
    return Region{0, 0, width, height};
  }
  void put(const Rows& rows) override {
    for (int i = 0; i < rows.count; ++i) {
      std::memcpy(image_.row(next_row_++), rows.row(i), 3 * static_cast<std::size_t>(image_.width));
    }
  }

 private:
  Image& image_;
  int next_row_ = 0;
};

}  // namespace

Result<void> ImageDecoder::decode_checked(ByteView bytes, RowSink& sink) {
  if (bytes.empty()) return fail(ErrorKind::invalid, "unsupported_format", "The file is empty.");
  const auto type = sniff_image_type(bytes);
  if (!type) {
    return fail(ErrorKind::invalid, "unsupported_format", unknown_format_message(bytes));
  }
  if (*type == ImageType::jpeg) {
    Turner turner(sink, image_, turned_);
    if (auto ok = jpeg_.decode(bytes, limits_, turner); !ok) return ok;
    turner.finish();
    return {};
  }
  const Result<int> orientation = decode_by_type(*type, bytes, limits_, image_);
  if (!orientation) return fail(orientation.error());
  decode::apply_orientation(*orientation, image_, turned_);
  return put_region(image_, sink);
}

Result<void> ImageDecoder::decode(ByteView bytes, RowSink& sink) try {
  for (Image* image : {&image_, &turned_, &whole_}) {
    image->clear();
    release(*image);
  }
  if (bytes.size() > limits_.bytes_max) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The file has " + std::to_string(bytes.size()) + " bytes; allowed are " +
                    std::to_string(limits_.bytes_max) + ".");
  }
  auto decoded = decode_checked(bytes, sink);
  image_.clear();
  turned_.clear();
  return decoded;
} catch (const std::bad_alloc&) {
  image_ = {};
  turned_ = {};
  return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to decode the image.");
}

Result<const Image*> ImageDecoder::decode(ByteView bytes) {
  WholeImage sink(whole_);
  if (auto ok = decode(bytes, sink); !ok) {
    whole_.clear();  // a failed decode may have written some rows
    return fail(ok.error());
  }
  return &whole_;
}

namespace decode {
namespace {

// Formats' own row buffers grow with the sides; no format but PNG and TIFF could hold more anyway.
constexpr std::uint64_t kSideMax = 65'535;

}  // namespace

Result<void> check_dimensions(const char* format, std::uint64_t width, std::uint64_t height,
                              const ImageConfig& limits) {
  if (width == 0 || height == 0) return corrupt(format, "it has a side of 0 pixels");
  if (width > kSideMax || height > kSideMax || width * height > limits.pixels_max) {
    return too_many_pixels(format, width, height, limits.pixels_max);
  }
  return {};
}

std::unexpected<Error> too_many_pixels(const char* format, std::uint64_t width, std::uint64_t height,
                                       std::uint64_t allowed) {
  return fail(ErrorKind::invalid, "image_too_large",
              std::string("The ") + format + " has " + std::to_string(width) + " x " + std::to_string(height) +
                  " pixels; allowed are " + std::to_string(allowed) + " in all and " + std::to_string(kSideMax) +
                  " a side. Make it smaller, or raise the setting image.pixels_max.");
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

std::unexpected<Error> camera_raw(std::string_view kind) {
  return fail(ErrorKind::invalid, "unsupported_format", camera_raw_message(kind));
}

}  // namespace decode
}  // namespace imgrec
