// WebP on libwebp; container: https://developers.google.com/speed/webp/docs/riff_container
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "WebP";

const std::uint8_t* data_of(ByteView bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

int orientation_of(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk{};
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0) {
    ByteView exif(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);
    if (exif.starts_with(ByteView("Exif\0\0", 6))) exif.remove_prefix(6);  // some writers copy JPEG's prefix too
    orientation = exif_orientation(exif);
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

std::unexpected<Error> error_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return truncated(kName);
    case VP8_STATUS_UNSUPPORTED_FEATURE: return unsupported(kName, "a feature that libwebp does not know");
    case VP8_STATUS_OUT_OF_MEMORY:
      return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to decode the WebP.");
    default: return corrupt(kName, "its compressed data contradicts itself");
  }
}

// Of a frame whose chunk was cut off: the rows that are there. What is missing may be a byte that fills it up alone.
// `config`: with its output. some: not all rows are wanted.
Result<void> decode_beginning(const WebPIterator& frame, bool some, WebPDecoderConfig& config) {
  const std::unique_ptr<WebPIDecoder, decltype(&WebPIDelete)> decoder(WebPIDecode(nullptr, 0, &config), WebPIDelete);
  if (!decoder) return error_of(VP8_STATUS_OUT_OF_MEMORY);
  const VP8StatusCode status = WebPIUpdate(decoder.get(), frame.fragment.bytes, frame.fragment.size);
  int rows = 0;
  WebPIDecGetRGB(decoder.get(), &rows, nullptr, nullptr, nullptr);
  const bool is_cut = status == VP8_STATUS_SUSPENDED || status == VP8_STATUS_NOT_ENOUGH_DATA;
  if (status == VP8_STATUS_OK || (is_cut && some && rows > 0)) return {};
  return error_of(status);
}

// The first frame, where it lies on the canvas; the rest stays black, as in Pillow.
Result<void> decode_frame(const WebPIterator& frame, const ImageConfig& limits, Image& image) {
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.width <= 0 || frame.height <= 0 ||
      frame.x_offset > image.width - frame.width || frame.y_offset > image.height - frame.height) {
    return corrupt(kName, "its first frame lies outside the canvas");
  }
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0)
    return fail(ErrorKind::bug, "webp_version", "libwebp does not match its headers.");
  // The frame's own header must agree with the container before anything is allocated for it.
  const VP8StatusCode features = WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input);
  if (features != VP8_STATUS_OK) return error_of(features);
  if (config.input.width != frame.width || config.input.height != frame.height) {
    return corrupt(kName, "its headers contradict each other");
  }
  const int stride = 3 * image.width;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.row(frame.y_offset) + 3 * frame.x_offset;
  config.output.u.RGBA.stride = stride;
  config.output.u.RGBA.size = image.rgb.size() - static_cast<std::size_t>(config.output.u.RGBA.rgba - image.rgb.data());
  if (frame.complete == 0) return decode_beginning(frame, limits.accepts_truncated(), config);
  const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return error_of(status);
  return {};
}

}  // namespace

Result<int> decode_webp(ByteView bytes, const ImageConfig& limits, Image& image) {
  const WebPData data{data_of(bytes), bytes.size()};
  WebPDemuxState state{};
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemuxPartial(&data, &state),
                                                                         WebPDemuxDelete);
  if (state == WEBP_DEMUX_PARSING_HEADER) return truncated(kName);
  if (!demuxer || state == WEBP_DEMUX_PARSE_ERROR) return corrupt(kName, "its chunks contradict each other");
  const std::uint32_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::uint32_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  if (auto ok = check_dimensions(kName, width, height, limits); !ok) return fail(ok.error());
  WebPIterator frame{};
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) {
    if (state != WEBP_DEMUX_DONE) return truncated(kName);
    return corrupt(kName, "it holds no image");
  }
  image.reset(static_cast<int>(width), static_cast<int>(height));
  // Metadata and further frames may be missing behind the first.
  const Result<void> decoded = decode_frame(frame, limits, image);
  WebPDemuxReleaseIterator(&frame);
  if (!decoded) return fail(decoded.error());
  return orientation_of(demuxer.get());
}

}  // namespace imgrec::decode
