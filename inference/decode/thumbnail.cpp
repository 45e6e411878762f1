#include "inference/decode/thumbnail.hpp"

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>

#include <jpeglib.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "inference/decode/decode.hpp"

namespace imgrec {
namespace {

constexpr int kQuality = 80;

// Each pixel of the small picture is the mean of the image's pixels that fall into it.
class Mean final : public RowSink {
 public:
  explicit Mean(int side) : side_(side) {}

  Result<Region> begin(int width, int height) override {
    const int longer = std::max(width, height);
    const auto scaled = [&](int length) {
      return longer <= side_ ? length : std::max(1, static_cast<int>(std::int64_t{length} * side_ / longer));
    };
    width_ = width, height_ = height, y_ = 0;
    small_.reset(scaled(width), scaled(height));
    sums_.assign(small_.rgb.size(), 0);
    counts_.assign(small_.rgb.size() / 3, 0);
    columns_.resize(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x) {
      columns_[static_cast<std::size_t>(x)] = static_cast<std::size_t>(std::int64_t{x} * small_.width / width);
    }
    return Region{.width = width, .height = height};
  }

  void put(const Rows& rows) override {
    for (int i = 0; i < rows.count; ++i, ++y_) {
      const std::size_t line =
          static_cast<std::size_t>(std::int64_t{y_} * small_.height / height_) * static_cast<std::size_t>(small_.width);
      const std::uint8_t* pixel = rows.row(i);
      for (const std::size_t column : columns_) {
        std::uint64_t* sum = &sums_[3 * (line + column)];
        for (int colour = 0; colour < 3; ++colour) sum[colour] += pixel[colour];
        ++counts_[line + column];
        pixel += 3;
      }
    }
  }

  /// When all rows are there.
  const Image& small() {
    for (std::size_t i = 0; i < small_.rgb.size(); ++i) {
      const std::uint64_t count = std::max<std::uint64_t>(1, counts_[i / 3]);
      small_.rgb[i] = static_cast<std::uint8_t>((sums_[i] + count / 2) / count);
    }
    return small_;
  }

 private:
  const int side_;
  int width_ = 0, height_ = 0, y_ = 0;
  Image small_;
  std::vector<std::uint64_t> sums_;    // per sample of small_
  std::vector<std::uint64_t> counts_;  // per pixel of small_
  std::vector<std::size_t> columns_;   // of small_, per column of the image
};

struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf escape;
};

// What libjpeg allocates with malloc as it writes.
struct Output {
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  ~Output() { std::free(bytes); }  // NOLINT(cppcoreguidelines-no-malloc)
};

// No destructor runs between setjmp and what jumps there: everything with one is the caller's.
bool write_jpeg(const Image& image, jpeg_compress_struct& jpeg, Errors& errors, Output& output) {
  if (setjmp(errors.escape) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &output.bytes, &output.size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, kQuality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.row(static_cast<int>(jpeg.next_scanline)));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

Result<std::string> to_jpeg(const Image& image) {
  jpeg_compress_struct jpeg{};
  Errors errors{};
  Output output;
  jpeg.err = jpeg_std_error(&errors.manager);
  jpeg.client_data = &errors;
  errors.manager.error_exit = [](j_common_ptr failed) {
    std::longjmp(static_cast<Errors*>(failed->client_data)->escape, 1);  // NOLINT(cert-err52-cpp)
  };
  errors.manager.output_message = [](j_common_ptr) {};
  const bool written = write_jpeg(image, jpeg, errors, output);
  jpeg_destroy_compress(&jpeg);
  if (!written) return fail(ErrorKind::transient, "out_of_memory", "libjpeg could not write a thumbnail.");
  return std::string(reinterpret_cast<const char*>(output.bytes), output.size);
}

}  // namespace

Result<std::string> make_thumbnail(ByteView encoded_image, int side, const ImageConfig& limits) {
  Mean mean(side);
  if (auto decoded = ImageDecoder(limits).decode(encoded_image, mean); !decoded) return fail(decoded.error());
  return to_jpeg(mean.small());
}

}  // namespace imgrec
