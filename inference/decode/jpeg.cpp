#include "inference/decode/jpeg.hpp"

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include <jerror.h>
#ifdef IMGREC_JPEG_INTERNALS
extern "C" {
#include <jpegint.h>
}
#endif

#include <algorithm>
#include <array>
#include <vector>

#include "inference/decode/formats.hpp"
#include "inference/decode/jpeg_huffman.hpp"
#include "inference/decode/jpeg_markers.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "JPEG";
constexpr int kStripRows = 16;    // handed to the sink at once: what stays in the nearest cache
constexpr int kMarginPixels = 4;  // smooth upsampling looks at a chroma sample's neighbours

// What one decode is about. Plain data only: longjmp runs no destructors.
struct Session {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  ByteView bytes;
  unsigned width, height;  // as the marker reader found them
  unsigned reduction;      // 1, 2, 4 or 8
  Region region;
  StoredRowSink* sink;
  std::uint8_t* strip;  // kStripRows rows of the region with its margins
  std::uint8_t* inks;   // a row of CMYK; null: no such image
  int scans_max;
  bool complete;         // as the marker reader found it: only then are pixels missing where libjpeg says so
  bool accepts_missing;  // pixels at the end of a file that was cut off
  bool ended;            // libjpeg has read to the end of the file
  long memory_max;
  bool too_many_scans;
  HuffmanDecoder* huffman;                    // null: the plain way
  bool gave_up;                               // the quick way did
  unsigned column, first_column, end_column;  // of MCUs: the next one, and those that are stored
  std::uint64_t unread;                       // MCUs that libjpeg is beyond, and the entropy decoder not yet
  int failed_code;                            // message number of what ended the decode
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

// Whether pixels may be missing from here on: where the file was cut off, some whole rows have come, and that is
// wanted.
bool may_end_here(const Session& session) {
  const jpeg_decompress_struct& jpeg = session.jpeg;
  const bool something_has_come = jpeg.input_scan_number > 1 || jpeg.input_iMCU_row > 0;
  return session.accepts_missing && something_has_come && (session.ended || jpeg.unread_marker == JPEG_EOI);
}

// libjpeg calls what it would rather paint grey than refuse a "warning". Harmless ones: bytes between segments (some
// cameras pad there) and header oddities. At the end of the file alone nothing is missing yet but the end mark: when
// libjpeg needs more than there is, another warning follows.
void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  Session& session = *session_of(jpeg);
  switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL: return;  // a sequential scan's Ss, Se, Ah and Al say nothing, and some cameras write 0
    case JWRN_JPEG_EOF:
      session.ended = true;
      if (!session.jpeg.arith_code || may_end_here(session)) return;
      break;  // the arithmetic decoder goes on with zeros and says nothing
    case JWRN_EXTRANEOUS_DATA: {
      const int marker = jpeg->err->msg_parm.i[1];
      const bool is_restart = marker >= 0xD0 && marker <= 0xD7;
      const bool inside_a_scan = is_restart && session.jpeg.input_scan_number > 0;  // pixels are lost
      if (!inside_a_scan) return;
      break;
    }
    default: break;
  }
  if (!may_end_here(session)) give_up(jpeg);
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

#ifdef IMGREC_JPEG_INTERNALS

constexpr bool kHasQuickWay = true;

// Stands in for libjpeg's own function of this name.
boolean decode_mcu(j_decompress_ptr jpeg, JBLOCKROW* blocks) {
  Session& session = *session_of(reinterpret_cast<j_common_ptr>(jpeg));
  const unsigned column = session.column;
  session.column = column + 1 == jpeg->MCUs_per_row ? 0 : column + 1;
  bool ok = true;
  if (blocks != nullptr && column >= session.first_column && column < session.end_column) {
    std::array<JCOEF*, kMcuBlocksMax> coefficients;
    for (int i = 0; i < jpeg->blocks_in_MCU; ++i) coefficients[static_cast<std::size_t>(i)] = *blocks[i];
    ok = session.huffman->skip_mcus(session.unread) && session.huffman->decode_mcu(coefficients.data());
    session.unread = 0;
  } else {
    ++session.unread;  // many together are quicker
  }
  if (ok) return TRUE;
  session.gave_up = true;
  std::longjmp(session.escape, 1);
}

HuffmanSpec spec_of(const JHUFF_TBL& table) {
  HuffmanSpec spec;
  std::copy_n(table.bits, spec.counts.size(), spec.counts.begin());
  std::copy_n(table.huffval, spec.symbols.size(), spec.symbols.begin());
  return spec;
}

// After jpeg_start_decompress(), which reads nothing beyond the header of the only scan. False: the plain way.
bool take_over_entropy_decoding(Session& session) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  const bool sequential = !jpeg.progressive_mode && !jpeg.arith_code && jpeg.data_precision == 8;
  if (!sequential || jpeg.inputctl->has_multiple_scans) return false;
  std::array<HuffmanSpec, kHuffmanTables> dc, ac;
  HuffmanScan scan;
  for (std::size_t i = 0; i < kHuffmanTables; ++i) {
    if (jpeg.dc_huff_tbl_ptrs[i] != nullptr) scan.dc[i] = &(dc[i] = spec_of(*jpeg.dc_huff_tbl_ptrs[i]));
    if (jpeg.ac_huff_tbl_ptrs[i] != nullptr) scan.ac[i] = &(ac[i] = spec_of(*jpeg.ac_huff_tbl_ptrs[i]));
  }
  scan.blocks_per_mcu = static_cast<std::size_t>(jpeg.blocks_in_MCU);
  for (std::size_t i = 0; i < scan.blocks_per_mcu; ++i) {
    const int component = jpeg.MCU_membership[i];
    const jpeg_component_info& info = *jpeg.cur_comp_info[component];
    scan.blocks[i] = {static_cast<std::uint8_t>(component), static_cast<std::uint8_t>(info.dc_tbl_no),
                      static_cast<std::uint8_t>(info.ac_tbl_no)};
  }
  scan.mcus = static_cast<std::uint64_t>(jpeg.MCUs_per_row) * jpeg.MCU_rows_in_scan;
  scan.restart_interval = jpeg.restart_interval;
  if (!session.huffman->begin(scan, reinterpret_cast<const char*>(jpeg.src->next_input_byte))) return false;
  session.column = session.first_column = 0;
  session.unread = 0;
  session.end_column = jpeg.MCUs_per_row;
  jpeg.entropy->decode_mcu = decode_mcu;
  return true;
}

// The rest of the scan is read, and libjpeg goes on with the marker behind it.
void hand_back_to_libjpeg(Session& session) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  if (!session.huffman->finish()) {  // with those unread
    session.gave_up = true;
    std::longjmp(session.escape, 1);
  }
  const std::size_t skipped = session.huffman->end_of_data();
  jpeg.src->next_input_byte += skipped;
  jpeg.src->bytes_in_buffer -= skipped;
  jpeg.output_scanline = jpeg.output_height;
  (*jpeg.inputctl->finish_input_pass)(&jpeg);
}

#else

constexpr bool kHasQuickWay = false;

bool take_over_entropy_decoding(Session&) {
  return false;
}
void hand_back_to_libjpeg(Session&) {}

#endif

// False for a progressive image of which some scan did not come.
bool has_all_bits(const jpeg_decompress_struct& jpeg) {
  if (jpeg.coef_bits == nullptr) return true;
  for (int c = 0; c < jpeg.num_components; ++c) {
    if (std::any_of(jpeg.coef_bits[c], jpeg.coef_bits[c] + DCTSIZE2, [](int bits) { return bits != 0; })) return false;
  }
  return true;
}

// Whether libjpeg has read all coefficients before the first row is asked for, and computes each block from itself
// alone: then rows and columns can be left out. (It smooths over blocks of which not all bits came.)
bool has_all_coefficients(jpeg_decompress_struct& jpeg) {
  return jpeg_has_multiple_scans(&jpeg) && has_all_bits(jpeg);
}

// Leaves out what lies left and right of the region; the column at which rows begin then. (Reduced, libjpeg loses a
// chroma sample at the edge where one stands for four pixels across.)
unsigned crop_columns(Session& session) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  const Region& region = session.region;
  const unsigned block = DCTSIZE / session.reduction;
  const unsigned step = block * static_cast<unsigned>(jpeg.num_components == 1 ? 1 : jpeg.max_h_samp_factor);
  const auto begin = static_cast<unsigned>(std::max(region.x - kMarginPixels, 0));
  const unsigned end = std::min(static_cast<unsigned>(region.x + region.width + kMarginPixels), jpeg.output_width);
  if (begin < step && jpeg.output_width - end < step) return 0;
  if (session.reduction > 1 && jpeg.max_h_samp_factor > 2) return 0;
  JDIMENSION first = begin, width = end - begin;
  jpeg_crop_scanline(&jpeg, &first, &width);
  session.first_column = first / step;
  session.end_column = (first + width + step - 1) / step;
  return first;
}

// Reads rows on to `end` and hands those of the region over.
void read_rows(Session& session, unsigned first_column, unsigned end) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  const auto begin = static_cast<unsigned>(session.region.y),
             stop = begin + static_cast<unsigned>(session.region.height);
  const std::size_t stride = 3 * static_cast<std::size_t>(jpeg.output_width);
  int held = 0;
  while (jpeg.output_scanline < end) {
    const bool wanted = jpeg.output_scanline >= begin && jpeg.output_scanline < stop;
    std::uint8_t* row = session.strip + stride * static_cast<std::size_t>(held);
    JSAMPROW target = session.inks != nullptr ? session.inks : row;
    if (jpeg_read_scanlines(&jpeg, &target, 1) != 1) ERREXIT(&jpeg, JERR_CANT_SUSPEND);
    if (!wanted) continue;
    if (session.inks != nullptr) cmyk_row_to_rgb(session.inks, row, jpeg.output_width);
    if (++held < kStripRows && jpeg.output_scanline < stop) continue;
    const std::size_t left = 3 * (static_cast<std::size_t>(session.region.x) - first_column);
    session.sink->put({.rgb = session.strip + left, .stride = stride, .count = held});
    held = 0;
  }
}

// Everything between setjmp and its longjmp: no object with a destructor lives here. False: see session.
bool run(Session& session) {
  jpeg_decompress_struct& jpeg = session.jpeg;
  if (setjmp(session.escape) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way to report errors
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &session.progress;
  jpeg.mem->max_memory_to_use = session.memory_max;
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(session.bytes.data()), session.bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  // The marker reader and libjpeg see the same size, or nothing is allocated and nothing written.
  if (jpeg.image_width != session.width || jpeg.image_height != session.height ||
      (jpeg.num_components == 4) != (session.inks != nullptr)) {
    ERREXIT(&jpeg, JERR_SOF_DUPLICATE);
  }
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  jpeg.scale_num = 1;
  jpeg.scale_denom = session.reduction;
  jpeg.dct_method = JDCT_ISLOW;
  jpeg.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&jpeg);
  if (!session.complete && !session.accepts_missing && !has_all_bits(jpeg)) ERREXIT(&jpeg, JERR_INPUT_EOF);
  const bool quick = session.huffman != nullptr && take_over_entropy_decoding(session);
  if (!quick) session.huffman = nullptr;
  if (!quick && !has_all_coefficients(jpeg)) {
    read_rows(session, 0, jpeg.output_height);  // to the end, so that nothing broken is overlooked
  } else {
    const unsigned first_column = crop_columns(session);
    const auto begin = static_cast<unsigned>(session.region.y);
    if (begin > 0 && jpeg_skip_scanlines(&jpeg, begin) != begin) ERREXIT(&jpeg, JERR_CANT_SUSPEND);
    read_rows(session, first_column, begin + static_cast<unsigned>(session.region.height));
    if (quick)
      hand_back_to_libjpeg(session);
    else if (jpeg.output_scanline < jpeg.output_height)
      jpeg_skip_scanlines(&jpeg, jpeg.output_height - jpeg.output_scanline);
  }
  jpeg_finish_decompress(&jpeg);  // reads on to the end-of-image marker
  return true;
}

// Of a side that is no multiple, the last pixels stand for less than the others: only where the image would be too
// large otherwise, and so these pixels are a few of thousands.
unsigned reduction_of(const JpegMarkers& markers, const StoredRowSink& sink, const ImageConfig& limits) {
  const auto most =
      static_cast<unsigned>(sink.reduction_max(static_cast<int>(markers.width), static_cast<int>(markers.height)));
  unsigned reduction = most;
  while (reduction > 1 && (markers.width % reduction != 0 || markers.height % reduction != 0)) reduction /= 2;
  while (reduction < most && !check_jpeg_cost(markers, reduction, limits)) reduction *= 2;
  return reduction;
}

std::unexpected<Error> error_of(const Session& session, const ImageConfig& limits) {
  if (session.too_many_scans) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The JPEG has more than " + std::to_string(limits.jpeg_scans_max) + " progressive scans.");
  }
  switch (session.failed_code) {
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
    default: return session.ended ? truncated(kName) : corrupt(kName, session.message);
  }
}

}  // namespace

struct JpegDecoder::Impl {
  HuffmanDecoder huffman;
  std::vector<std::uint8_t> strip, inks;
  JpegWay last_way = JpegWay::plain;
};

JpegDecoder::JpegDecoder() : impl_(std::make_unique<Impl>()) {}
JpegDecoder::~JpegDecoder() = default;

JpegWay JpegDecoder::last_way() const {
  return impl_->last_way;
}

Result<void> JpegDecoder::decode(ByteView bytes, const ImageConfig& limits, StoredRowSink& sink, JpegWay way) {
  HuffmanDecoder* const quick =
      kHasQuickWay && limits.jpeg_fast_decoder && way != JpegWay::plain ? &impl_->huffman : nullptr;
  impl_->huffman.choose_instructions(way == JpegWay::quickest);
  const JpegMarkers markers = read_jpeg_markers(bytes, quick);
  if (auto ok = check_jpeg_markers(markers, limits); !ok) return ok;
  const unsigned reduction = reduction_of(markers, sink, limits);
  if (auto ok = check_jpeg_cost(markers, reduction, limits); !ok) return ok;
  const auto region = sink.begin(static_cast<int>((markers.width + reduction - 1) / reduction),
                                 static_cast<int>((markers.height + reduction - 1) / reduction), markers.orientation);
  if (!region) return fail(region.error());
  const bool inks = markers.components.size() == 4;
  impl_->strip.resize(3 * static_cast<std::size_t>(markers.width) * kStripRows + kRowSlack);
  if (inks) impl_->inks.resize(4 * static_cast<std::size_t>(markers.width));

  Session session{};
  // Also when the sink throws.
  struct Destroyer {
    Session& session;
    ~Destroyer() { jpeg_destroy_decompress(&session.jpeg); }
  } destroyer{session};
  session.bytes = bytes;
  session.width = markers.width;
  session.height = markers.height;
  session.reduction = reduction;
  session.region = *region;
  session.sink = &sink;
  session.strip = impl_->strip.data();
  session.inks = inks ? impl_->inks.data() : nullptr;
  session.scans_max = limits.jpeg_scans_max;
  session.complete = markers.complete;
  session.accepts_missing = limits.accepts_truncated();
  // A progressive image holds all its coefficients: 2 bytes per sample, 4 components at most, and some rows.
  session.memory_max = static_cast<long>(8 * limits.pixels_max + 32 * kMiB);
  session.jpeg.err = jpeg_std_error(&session.errors);
  session.jpeg.client_data = &session;
  session.errors.error_exit = give_up;
  session.errors.emit_message = on_message;
  session.errors.output_message = no_output;
  session.progress.progress_monitor = on_progress;
  session.huffman = markers.scans == 1 && markers.complete ? quick : nullptr;
  const bool ok = run(session);
  impl_->last_way = session.huffman != nullptr ? way : JpegWay::plain;
  if (ok) return {};
  if (session.huffman != nullptr) return decode(bytes, limits, sink, JpegWay::plain);
  return error_of(session, limits);
}

}  // namespace imgrec::decode
