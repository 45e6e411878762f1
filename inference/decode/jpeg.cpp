// JPEG on libjpeg-turbo, with its default (accurate) DCT and smooth chroma upsampling: bit for bit what Pillow decodes.
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "JPEG";

// ---- The markers, read before libjpeg sees the file (ITU-T T.81, annex B) ----

struct Markers {
  int scans = 0;
  int orientation = 1;
  unsigned width = 0, height = 0;
  bool complete = false;             // an end-of-image marker was found
  std::vector<unsigned> components;  // of the frame
  std::vector<unsigned> scanned;     // component ids that some scan carries
};

// The position after the entropy-coded data that begins at `at`: at the 0xFF of the next real marker, or the end.
std::size_t skip_entropy_coded(ByteView bytes, std::size_t at) {
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
    if (found == nullptr) return bytes.size();
    at = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    if (at + 1 >= bytes.size()) return bytes.size();
    const unsigned next = byte_at(bytes, at + 1);
    const bool stuffed = next == 0x00, restart = next >= 0xD0 && next <= 0xD7;
    if (!stuffed && !restart && next != 0xFF) return at;
    at += next == 0xFF ? 1 : 2;
  }
  return at;
}

void read_segment(unsigned marker, ByteView payload, Markers& markers) {
  const bool is_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
  if (is_frame && payload.size() >= 6 && markers.components.empty()) {
    markers.height = be16(payload, 1);
    markers.width = be16(payload, 3);
    const std::size_t count = byte_at(payload, 5);
    for (std::size_t i = 0; i < count && 6 + 3 * i < payload.size(); ++i) {
      markers.components.push_back(byte_at(payload, 6 + 3 * i));
    }
  } else if (marker == 0xDA && !payload.empty()) {
    ++markers.scans;
    const std::size_t count = byte_at(payload, 0);
    for (std::size_t i = 0; i < count && 1 + 2 * i < payload.size(); ++i) {
      const unsigned id = byte_at(payload, 1 + 2 * i);
      if (std::find(markers.scanned.begin(), markers.scanned.end(), id) == markers.scanned.end()) {
        markers.scanned.push_back(id);
      }
    }
  } else if (marker == 0xE1 && payload.starts_with(ByteView("Exif\0\0", 6)) && markers.orientation == 1) {
    markers.orientation = exif_orientation(payload.substr(6));
  }
}

Markers read_markers(ByteView bytes) {
  Markers markers;
  std::size_t at = 2;  // after the start-of-image marker
  while (at + 1 < bytes.size()) {
    if (byte_at(bytes, at) != 0xFF || byte_at(bytes, at + 1) == 0xFF) {
      ++at;  // fill bytes, or rubbish that libjpeg will skip too
      continue;
    }
    const unsigned marker = byte_at(bytes, at + 1);
    at += 2;
    if (marker == 0xD9) {
      markers.complete = true;
      return markers;
    }
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // without a length
    if (at + 2 > bytes.size()) return markers;
    const std::size_t length = be16(bytes, at);
    if (length < 2 || length > bytes.size() - at) return markers;
    read_segment(marker, bytes.substr(at + 2, length - 2), markers);
    at += length;
    if (marker == 0xDA) at = skip_entropy_coded(bytes, at);
  }
  return markers;
}

// ---- libjpeg ----

// Plain data only: longjmp runs no destructors.
struct Session {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  int scans_max;
  long memory_max;
  bool too_many_scans;
  int failed_code;  // message number of what ended the decode
  char message[JMSG_LENGTH_MAX];
};

Session* session_of(j_common_ptr jpeg) {
  return static_cast<Session*>(jpeg->client_data);
}

[[noreturn]] void give_up(j_common_ptr jpeg) {
  Session* session = session_of(jpeg);
  session->failed_code = jpeg->err->msg_code;
  jpeg->err->format_message(jpeg, session->message);
  std::longjmp(session->escape, 1);
}

// libjpeg calls what it would rather paint grey than refuse a "warning". Harmless ones: bytes between segments (some
// cameras pad there) and header oddities.
void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR: return;
    case JWRN_EXTRANEOUS_DATA: {
      const int marker = jpeg->err->msg_parm.i[1];
      const bool is_restart = marker >= 0xD0 && marker <= 0xD7;
      const bool inside_a_scan = is_restart && session_of(jpeg)->jpeg.input_scan_number > 0;  // pixels are lost
      if (!inside_a_scan) return;
      break;
    }
    default: break;
  }
  give_up(jpeg);
}

void on_progress(j_common_ptr jpeg) {
  Session* session = session_of(jpeg);
  if (jpeg->is_decompressor && session->jpeg.input_scan_number > session->scans_max) {
    session->too_many_scans = true;
    std::longjmp(session->escape, 1);
  }
}

void no_output(j_common_ptr) {}

// Adobe's CMYK is stored inverted, as 255 - ink. The conversion is Pillow's: out = K - (255 - C) * K / 255, rounded.
void cmyk_row_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, unsigned width) {
  for (unsigned x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const unsigned black = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned product = (255U - cmyk[c]) * black + 128;
      rgb[c] = static_cast<std::uint8_t>(black - ((product + (product >> 8)) >> 8));
    }
  }
}

// Everything between setjmp and its longjmp: no object with a destructor lives here. False: see session.
bool run(Session& session, ByteView bytes, Image& image, std::uint8_t* cmyk_row) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  if (setjmp(session.escape) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way to report errors
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &session.progress;
  jpeg.mem->max_memory_to_use = session.memory_max;
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  // The marker reader above and libjpeg see the same size, or nothing is allocated and nothing written.
  if (static_cast<int>(jpeg.image_width) != image.width || static_cast<int>(jpeg.image_height) != image.height ||
      (jpeg.num_components == 4) != (cmyk_row != nullptr)) {
    ERREXIT(&jpeg, JERR_SOF_DUPLICATE);
  }
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  jpeg.dct_method = JDCT_ISLOW;
  jpeg.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    std::uint8_t* row = image.row(static_cast<int>(jpeg.output_scanline));
    JSAMPROW target = inks ? cmyk_row : row;
    if (jpeg_read_scanlines(&jpeg, &target, 1) != 1) ERREXIT(&jpeg, JERR_CANT_SUSPEND);
    if (inks) cmyk_row_to_rgb(cmyk_row, row, jpeg.output_width);
  }
  jpeg_finish_decompress(&jpeg);  // reads on to the end-of-image marker
  return true;
}

std::unexpected<Error> error_of(const Session& session, const ImageConfig& limits) {
  if (session.too_many_scans) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The JPEG has more than " + std::to_string(limits.jpeg_scans_max) + " progressive scans.");
  }
  switch (session.failed_code) {
    case JWRN_JPEG_EOF:
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY: return truncated(kName);
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED: return unsupported(kName, session.message);
    case JERR_OUT_OF_MEMORY:
      return fail(ErrorKind::invalid, "image_too_large", "The JPEG needs more memory than an image may.");
    default: return corrupt(kName, session.message);
  }
}

Result<void> check_markers(const Markers& markers, const ImageConfig& limits) {
  // Without a frame header there is nothing to check yet; libjpeg knows what is wrong.
  if (!markers.components.empty()) {
    if (auto ok = check_dimensions(kName, markers.width, markers.height, limits); !ok) return ok;
  }
  if (markers.scans > limits.jpeg_scans_max) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The JPEG has " + std::to_string(markers.scans) + " progressive scans; allowed are " +
                    std::to_string(limits.jpeg_scans_max) + ".");
  }
  if (!markers.complete) return truncated(kName);
  if (markers.components.empty()) return corrupt(kName, "it has no frame header");
  for (const unsigned id : markers.components) {
    if (std::find(markers.scanned.begin(), markers.scanned.end(), id) == markers.scanned.end()) {
      return corrupt(kName, "a colour component has no data");
    }
  }
  return {};
}

}  // namespace

Result<int> decode_jpeg(ByteView bytes, const ImageConfig& limits, Image& image) {
  const Markers markers = read_markers(bytes);
  if (auto ok = check_markers(markers, limits); !ok) return fail(ok.error());
  image.reset(static_cast<int>(markers.width), static_cast<int>(markers.height));
  std::vector<std::uint8_t> cmyk_row;
  if (markers.components.size() == 4) cmyk_row.resize(4 * static_cast<std::size_t>(markers.width));

  Session session{};
  session.scans_max = limits.jpeg_scans_max;
  // A progressive image holds all its coefficients: 2 bytes per sample, 4 components at most, and some rows.
  session.memory_max = static_cast<long>(8 * limits.pixels_max + 32 * kMiB);
  session.jpeg.err = jpeg_std_error(&session.errors);
  session.jpeg.client_data = &session;
  session.errors.error_exit = give_up;
  session.errors.emit_message = on_message;
  session.errors.output_message = no_output;
  session.progress.progress_monitor = on_progress;
  const bool ok = run(session, bytes, image, cmyk_row.empty() ? nullptr : cmyk_row.data());
  jpeg_destroy_decompress(&session.jpeg);
  if (!ok) return error_of(session, limits);
  return markers.orientation;
}

}  // namespace imgrec::decode
