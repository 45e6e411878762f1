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
bool run(Session& session, Image& image, png_bytepp rows) {
  if (setjmp(png_jmpbuf(session.png)) != 0) return false;  // NOLINT(cert-err52-cpp): libpng's way to report errors
  png_structp png = session.png;
  png_set_read_fn(png, &session, read_bytes);
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
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  if (is_palette) {
    png_colorp palette = nullptr;
    int colours = 0;
    png_get_PLTE(png, session.info, &palette, &colours);
    if (!apply_palette(palette, colours, image)) png_error(png, "a colour is not in the palette");
  }
  return true;
}

}  // namespace

Result<int> decode_png(ByteView bytes, const ImageConfig& limits, Image& image) {
  constexpr std::size_t kHeaderEnd = kSignatureBytes + 8 + 13;
  if (bytes.size() < kHeaderEnd) return truncated(kName);
  if (bytes.substr(12, 4) != "IHDR") return corrupt(kName, "it does not begin with a header");
  const std::uint32_t width = be32(bytes, 16), height = be32(bytes, 20);
  if (auto ok = check_dimensions(kName, width, height, limits); !ok) return fail(ok.error());
  image.reset(static_cast<int>(width), static_cast<int>(height));
  std::vector<png_bytep> rows(height);
  for (std::uint32_t y = 0; y < height; ++y) rows[y] = image.row(static_cast<int>(y));

  Session session{.bytes = bytes.data(), .size = bytes.size()};
  session.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, on_error, on_warning);
  if (session.png == nullptr)
    return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory for a PNG.");
  session.info = png_create_info_struct(session.png);
  const bool ok = session.info != nullptr && run(session, image, rows.data());
  png_destroy_read_struct(&session.png, &session.info, nullptr);
  if (!ok) return session.ended_early ? truncated(kName) : corrupt(kName, session.message);
  return orientation_of(bytes);
}

}  // namespace imgrec::decode
