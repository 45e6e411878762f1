// PNG on libpng. Metadata chunks are skipped unread, so that a compressed bomb in one costs nothing.
#include <csetjmp>

#include <png.h>

#include <cstring>
#include <vector>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "PNG";
constexpr std::size_t kSignatureBytes = 8;

// Plain data only: longjmp runs no destructors.
struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const char* bytes = nullptr;
  std::size_t size = 0, at = 0;
  bool ended_early = false;
  bool has_image = false;    // all rows came; what is wrong lies behind them
  std::size_t cut_data = 0;  // bytes that are there of the chunk in which the file ends
  char message[128] = {};
};

void read_bytes(png_structp png, png_bytep target, png_size_t count) {
  auto* session = static_cast<Session*>(png_get_io_ptr(png));
  if (count > session->size - session->at) {
    session->ended_early = true;
    png_error(png, "the file ends early");
  }
  std::memcpy(target, session->bytes + session->at, count);
  session->at += count;
}

void on_error(png_structp png, png_const_charp message) {
  auto* session = static_cast<Session*>(png_get_error_ptr(png));
  std::strncpy(session->message, message, sizeof session->message - 1);
  if (std::strstr(message, "Not enough image data") != nullptr) session->ended_early = true;
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}  // about metadata; what concerns pixels is an error

// The orientation of the eXIf chunk, found before libpng sees the file. https://www.w3.org/TR/png-3/#eXIf
int orientation_of(ByteView bytes) {
  std::size_t at = kSignatureBytes;
  while (at + 12 <= bytes.size()) {
    const std::size_t length = be32(bytes, at);
    if (length > bytes.size() - at - 12) return 1;
    if (bytes.substr(at + 4, 4) == "eXIf") return exif_orientation(bytes.substr(at + 8, length));
    at += 12 + length;
  }
  return 1;
}

// Of the chunk in which the file ends: its bytes that are there. 0: there is none.
std::size_t cut_data_of(ByteView bytes) {
  std::size_t at = kSignatureBytes;
  while (at + 8 <= bytes.size()) {
    const std::size_t length = be32(bytes, at), there = bytes.size() - at - 8;
    if (length > there) return there;
    if (there - length < 4) return length;
    at += 12 + length;
  }
  return 0;
}

// All colour types become 8-bit RGB; of a palette image, one index per byte.
void set_transformations(png_structp png, png_infop info, bool is_palette) {
  if (is_palette) {
    png_set_packing(png);
  } else {
    png_set_expand(png);  // small samples to 8 bits; a transparent colour to alpha
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

// Replaces the indices at the front of each row by their colours. (libpng's own expansion does not check them.)
bool apply_palette(png_const_colorp palette, int colours, Image& image) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* row = image.row(y);
    for (std::size_t x = static_cast<std::size_t>(image.width);
         x-- > 0;) {  // from the end: never overwrites an index to come
      const int index = row[x];
      if (index >= colours) return false;
      row[3 * x] = palette[index].red;
      row[3 * x + 1] = palette[index].green;
      row[3 * x + 2] = palette[index].blue;
    }
  }
  return true;
}

// Everything between setjmp and its longjmp. False: see session.
bool run(Session& session, const Image& image, png_bytepp rows) {
  if (setjmp(png_jmpbuf(session.png)) != 0) return false;  // NOLINT(cert-err52-cpp): libpng's way to report errors
  png_structp png = session.png;
  png_set_read_fn(png, &session, read_bytes);
  // Some programs claim a smaller window than their data needs; zlib would then find distances too far back.
  png_set_option(png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
  // libpng reads data in portions of this size, and decodes nothing of a portion that is not whole.
  if (session.cut_data > 0) png_set_compression_buffer_size(png, session.cut_data);
  // All chunks but those that make pixels: header, palette, transparency, data, end.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_chunk_malloc_max(png, 1 << 20);
  png_read_info(png, session.info);
  if (png_get_image_width(png, session.info) != static_cast<png_uint_32>(image.width) ||
      png_get_image_height(png, session.info) != static_cast<png_uint_32>(image.height)) {
    png_error(png, "two headers contradict each other");
  }
  const bool is_palette = png_get_color_type(png, session.info) == PNG_COLOR_TYPE_PALETTE;
  set_transformations(png, session.info, is_palette);
  const std::size_t pixel_bytes = is_palette ? 1 : 3;
  if (png_get_rowbytes(png, session.info) != pixel_bytes * static_cast<std::size_t>(image.width)) {
    png_error(png, "unexpected row size");
  }
  // As display rows: where an interlaced image ends early, its pixels fill the gaps between them.
  const int passes = png_get_interlace_type(png, session.info) == PNG_INTERLACE_NONE ? 1 : PNG_INTERLACE_ADAM7_PASSES;
  for (int pass = 0; pass < passes; ++pass) png_read_rows(png, nullptr, rows, static_cast<png_uint_32>(image.height));
  session.has_image = true;
  png_read_end(png, nullptr);
  return true;
}

// How much of an image came before libpng gave up.
enum class Came { nothing, some, all };

Came what_came(const Session& session, const Image& image) {
  if (session.has_image) return Came::all;
  const png_uint_32 row = png_get_current_row_number(session.png);
  const png_byte pass = png_get_current_pass_number(session.png);
  const bool interlaced = png_get_interlace_type(session.png, session.info) != PNG_INTERLACE_NONE;
  // After the last row libpng looks for the end of the compressed data; only that may be missing then.
  if (interlaced ? pass == PNG_INTERLACE_ADAM7_PASSES : row == static_cast<png_uint_32>(image.height)) return Came::all;
  return row > 0 || pass > 0 ? Came::some : Came::nothing;
}

Result<void> decode(Session& session, const ImageConfig& limits, Image& image, png_bytepp rows) {
  if (!run(session, image, rows)) {
    const Came came = what_came(session, image);
    const bool rest_is_accepted = session.ended_early && came == Came::some && limits.accepts_truncated();
    const bool only_the_ending = came == Came::all && (session.ended_early || session.has_image);
    if (!only_the_ending && !rest_is_accepted) {
      return session.ended_early ? truncated(kName) : corrupt(kName, session.message);
    }
  }
  if (png_get_color_type(session.png, session.info) == PNG_COLOR_TYPE_PALETTE) {
    png_colorp palette = nullptr;
    int colours = 0;
    png_get_PLTE(session.png, session.info, &palette, &colours);
    if (!apply_palette(palette, colours, image)) return corrupt(kName, "a colour is not in the palette");
  }
  return {};
}

}  // namespace

Result<int> decode_png(ByteView bytes, const ImageConfig& limits, Image& image) {
  constexpr std::size_t kHeaderEnd = kSignatureBytes + 8 + 13;
  if (bytes.size() < kHeaderEnd) return truncated(kName);
  if (bytes.substr(12, 4) == "CgBI") return unsupported(kName, "Apple's own form, made for apps of iOS");
  if (bytes.substr(12, 4) != "IHDR") return corrupt(kName, "it does not begin with a header");
  const std::uint32_t width = be32(bytes, 16), height = be32(bytes, 20);
  if (auto ok = check_dimensions(kName, width, height, limits); !ok) return fail(ok.error());
  image.reset(static_cast<int>(width), static_cast<int>(height));
  std::vector<png_bytep> rows(height);
  for (std::uint32_t y = 0; y < height; ++y) rows[y] = image.row(static_cast<int>(y));

  Session session{.bytes = bytes.data(), .size = bytes.size(), .cut_data = cut_data_of(bytes)};
  session.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, on_error, on_warning);
  if (session.png == nullptr)
    return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory for a PNG.");
  session.info = png_create_info_struct(session.png);
  const Result<void> decoded =
      session.info != nullptr ? decode(session, limits, image, rows.data())
                              : fail(ErrorKind::transient, "out_of_memory", "There is not enough memory for a PNG.");
  png_destroy_read_struct(&session.png, &session.info, nullptr);
  if (!decoded) return fail(decoded.error());
  return orientation_of(bytes);
}

}  // namespace imgrec::decode
