// TIFF (also BigTIFF) on libtiff: the first page.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "inference/decode/formats.hpp"
#include "inference/decode/tiff_directory.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "TIFF";
constexpr std::uint64_t kBlockBytesMax = 128 * kMiB;  // of one strip or tile, decoded

struct Source {
  ByteView bytes;
  std::uint64_t at = 0;
  bool read_beyond = false;
  bool cut = false;  // not all strips or tiles are there, and that is accepted
  bool reading_pixels = false;
  std::string problem;  // libtiff's first error
};

tmsize_t read_bytes(thandle_t handle, void* target, tmsize_t count) {
  auto* source = static_cast<Source*>(handle);
  const std::uint64_t left = source->at < source->bytes.size() ? source->bytes.size() - source->at : 0;
  const std::uint64_t got = std::min<std::uint64_t>(static_cast<std::uint64_t>(count), left);
  if (got < static_cast<std::uint64_t>(count)) source->read_beyond = true;
  if (got > 0) std::memcpy(target, source->bytes.data() + source->at, got);
  source->at += got;
  return static_cast<tmsize_t>(got);
}

tmsize_t refuse_to_write(thandle_t, void*, tmsize_t) {
  return 0;
}

toff_t seek_to(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  const std::uint64_t base = whence == SEEK_CUR ? source->at : whence == SEEK_END ? source->bytes.size() : 0;
  return source->at = base + offset;
}

int close_nothing(thandle_t) {
  return 0;
}
// The whole file is in memory already. (Debian's libtiff 4.5.0-6+deb12u4 also refuses uncompressed tiles of files that
// are not mapped.)
int map_file(thandle_t handle, void** base, toff_t* size) {
  const auto* source = static_cast<Source*>(handle);
  *base = const_cast<char*>(source->bytes.data());  // opened for reading: never written
  *size = source->bytes.size();
  return 1;
}

void unmap_nothing(thandle_t, void*, toff_t) {}

toff_t size_of(thandle_t handle) {
  return static_cast<Source*>(handle)->bytes.size();
}

void note(Source& source, const char* format, std::va_list arguments) {
  if (!source.problem.empty()) return;
  char text[200];
  std::vsnprintf(text, sizeof text, format, arguments);
  source.problem = text;
  while (!source.problem.empty() && (source.problem.back() == '.' || source.problem.back() == '\n'))
    source.problem.pop_back();
}

int on_error(TIFF*, void* user, const char*, const char* format, std::va_list arguments) {
  note(*static_cast<Source*>(user), format, arguments);
  return 1;
}

// What codecs say of an outdated form that they read all the same: JPEG as in TIFF 6.0 (Wang's programs, old scanners)
// and LZW with its bits in the other order. Of the former, only the messages of libjpeg are about pixels.
bool is_about_the_form(std::string_view module, std::string_view format) {
  return module.starts_with("OJPEG") || format.starts_with("Old-style LZW");
}

// About unknown tags: nothing. While pixels are read, a codec's warning means pixels that it made up.
int on_warning(TIFF*, void* user, const char* module, const char* format, std::va_list arguments) {
  auto* source = static_cast<Source*>(user);
  if (source->reading_pixels && !is_about_the_form(module != nullptr ? module : "", format))
    note(*source, format, arguments);
  return 1;
}

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, CloseTiff>;

Tiff open(Source& source) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  if (options == nullptr) return nullptr;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, static_cast<tmsize_t>(kBlockBytesMax + kMiB));
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, &source);
  Tiff tiff(TIFFClientOpenExt("image", "r", &source, read_bytes, refuse_to_write, seek_to, close_nothing, size_of,
                              map_file, unmap_nothing, options));
  TIFFOpenOptionsFree(options);
  return tiff;
}

std::unexpected<Error> error_of(const Source& source) {
  if (source.read_beyond || source.cut) return truncated(kName);
  return corrupt(kName, source.problem.empty() ? "its data contradicts itself" : source.problem);
}

// False where strips or tiles lie beyond the end of the file.
bool has_all_blocks(TIFF* tiff, ByteView bytes) {
  const std::uint32_t count = TIFFIsTiled(tiff) != 0 ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t at = TIFFGetStrileOffset(tiff, i), size = TIFFGetStrileByteCount(tiff, i);
    if (at > bytes.size() || size > bytes.size() - at) return false;
  }
  return true;
}

struct RgbaReader {
  TIFFRGBAImage image{};
  bool begun = false;
  ~RgbaReader() {
    if (begun) TIFFRGBAImageEnd(&image);
  }
};

// Rows that are decoded together: a strip's or a tile's, so that none is decoded twice.
std::uint32_t rows_per_block(TIFF* tiff, std::uint32_t height) {
  std::uint32_t rows = 0;
  TIFFGetFieldDefaulted(tiff, TIFFIsTiled(tiff) != 0 ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, &rows);
  return rows == 0 || rows > height ? height : rows;
}

// `multiplied`: the colours are stored multiplied with alpha.
void to_rgb(std::uint32_t abgr, bool multiplied, std::uint8_t* rgb) {
  std::uint32_t colour[] = {TIFFGetR(abgr), TIFFGetG(abgr), TIFFGetB(abgr)};
  const std::uint32_t alpha = TIFFGetA(abgr);
  if (multiplied && alpha != 0 && alpha != 255) {
    for (std::uint32_t& c : colour) c = std::min(255U, 255 * c / alpha);
  }
  std::copy_n(colour, 3, rgb);
}

Result<void> read_pixels(TIFF* tiff, Source& source, bool multiplied, Image& image) {
  char reason[1024] = {};
  RgbaReader reader;
  if (TIFFRGBAImageOK(tiff, reason) == 0 || TIFFRGBAImageBegin(&reader.image, tiff, /*stop=*/1, reason) == 0) {
    if (source.problem.empty() && reason[0] != '\0') return unsupported(kName, reason);
    return error_of(source);
  }
  reader.begun = true;
  reader.image.req_orientation = ORIENTATION_TOPLEFT;
  const auto width = static_cast<std::uint32_t>(image.width), height = static_cast<std::uint32_t>(image.height);
  const std::uint32_t block = rows_per_block(tiff, height);
  std::vector<std::uint32_t> raster(static_cast<std::size_t>(width) * block);
  source.reading_pixels = true;
  for (std::uint32_t y = 0; y < height; y += block) {
    const std::uint32_t rows = std::min(block, height - y);
    reader.image.row_offset = static_cast<int>(y);
    if (TIFFRGBAImageGet(&reader.image, raster.data(), width, rows) == 0 || !source.problem.empty()) {
      if (source.cut && y > 0) return {};
      return error_of(source);
    }
    for (std::uint32_t r = 0; r < rows; ++r) {
      const std::uint32_t* from = raster.data() + static_cast<std::size_t>(r) * width;
      std::uint8_t* to = image.row(static_cast<int>(y + r));
      for (std::uint32_t x = 0; x < width; ++x, to += 3) to_rgb(from[x], multiplied, to);
    }
  }
  return {};
}

// Tells libtiff to hand out pixels as they are stored: no turning (done later, for all formats alike), and colours not
// multiplied with alpha. Returns whether they are stored so.
Result<bool> prepare(TIFF* tiff) {
  std::uint16_t samples = 1, extra_count = 0, *extra = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  if (samples > 8) return unsupported(kName, std::to_string(samples) + " channels");
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  const bool multiplied = extra_count > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
  if (extra_count > 0 && extra[0] == EXTRASAMPLE_UNASSALPHA) {
    std::vector<std::uint16_t> plain(extra, extra + extra_count);
    plain[0] = EXTRASAMPLE_ASSOCALPHA;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, extra_count, plain.data());
  }
  const tmsize_t block = TIFFIsTiled(tiff) != 0 ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
  if (block <= 0) return corrupt(kName, "its strips or tiles have no size");
  if (static_cast<std::uint64_t>(block) > kBlockBytesMax) {
    return fail(ErrorKind::invalid, "image_too_large", "The TIFF has strips or tiles of more than 128 MiB.");
  }
  return multiplied;
}

}  // namespace

Result<int> decode_tiff(ByteView bytes, const ImageConfig& limits, Image& image) {
  if (bytes.size() < 8) return truncated(kName);
  const auto directory = read_tiff_directory(bytes);
  if (!directory) return fail(directory.error());
  if (const auto maker = camera_raw_maker(bytes)) return camera_raw(*maker);
  if (auto ok = check_dimensions(kName, directory->width, directory->height, limits); !ok) return fail(ok.error());
  Source source;
  source.bytes = bytes;
  const Tiff tiff = open(source);
  if (!tiff) return error_of(source);
  std::uint32_t width = 0, height = 0;
  TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  if (width != directory->width || height != directory->height)
    return corrupt(kName, "its sizes contradict each other");
  source.cut = !has_all_blocks(tiff.get(), bytes);
  if (source.cut && !limits.accepts_truncated()) return truncated(kName);
  const auto multiplied = prepare(tiff.get());
  if (!multiplied) return fail(multiplied.error());
  image.reset(static_cast<int>(width), static_cast<int>(height));
  if (auto ok = read_pixels(tiff.get(), source, *multiplied, image); !ok) return fail(ok.error());
  return directory->orientation;
}

}  // namespace imgrec::decode
