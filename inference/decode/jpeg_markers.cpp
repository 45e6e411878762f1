#include "inference/decode/jpeg_markers.hpp"

#include <algorithm>
#include <cstring>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "JPEG";

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

// What is read in one pass is held nowhere: all that more pixels cost is time, at an eighth of the size 1 to 2 ns each
// (a photo of 48 megapixels 0.08 s, measured on a Xeon with AVX-512).
constexpr std::uint64_t kOnePassPixels = 8;
// Of what is read in several passes all coefficients are held. A pixel has four samples at most; with fewer of them
// there may be more pixels.
constexpr std::uint64_t kSamplesPerPixelMax = 4;

void read_frame(unsigned marker, ByteView payload, JpegMarkers& markers) {
  markers.sequential = marker == 0xC0 || marker == 0xC1 || marker == 0xC9;
  markers.height = be16(payload, 1);
  markers.width = be16(payload, 3);
  const std::size_t count = byte_at(payload, 5);
  std::uint64_t sampling_sum = 0;
  unsigned across_max = 1, down_max = 1;
  for (std::size_t i = 0; i < count && 6 + 3 * i < payload.size(); ++i) {
    markers.components.push_back(byte_at(payload, 6 + 3 * i));
    const unsigned sampling = 7 + 3 * i < payload.size() ? byte_at(payload, 7 + 3 * i) : 0x11;
    sampling_sum += std::uint64_t{sampling >> 4} * (sampling & 15);
    across_max = std::max(across_max, sampling >> 4);
    down_max = std::max(down_max, sampling & 15);
  }
  markers.samples = std::uint64_t{markers.width} * markers.height * std::max<std::uint64_t>(1, sampling_sum) /
                    (across_max * down_max);
}

void read_segment(unsigned marker, ByteView payload, JpegMarkers& markers) {
  const bool is_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
  if (is_frame && payload.size() >= 6 && markers.components.empty()) {
    read_frame(marker, payload, markers);
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

}  // namespace

JpegMarkers read_jpeg_markers(ByteView bytes, EntropyCodedReader* first_scan) {
  JpegMarkers markers;
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
    if (marker != 0xDA) continue;
    if (first_scan != nullptr && markers.scans == 1) at += first_scan->read(bytes.substr(at)).value_or(0);
    at = skip_entropy_coded(bytes, at);
  }
  return markers;
}

Result<void> check_jpeg_markers(const JpegMarkers& markers, const ImageConfig& limits) {
  if (markers.components.empty()) {
    return markers.complete ? corrupt(kName, "it has no frame header") : truncated(kName);
  }
  if (markers.width == 0 || markers.height == 0) return corrupt(kName, "it has a side of 0 pixels");
  if (markers.scans > limits.jpeg_scans_max) {
    return fail(ErrorKind::invalid, "image_too_large",
                "The JPEG has " + std::to_string(markers.scans) + " progressive scans; allowed are " +
                    std::to_string(limits.jpeg_scans_max) + ".");
  }
  if (markers.scans == 0 && !markers.complete) return truncated(kName);
  if (!markers.complete && limits.accepts_truncated()) return {};
  for (const unsigned id : markers.components) {
    if (std::find(markers.scanned.begin(), markers.scanned.end(), id) == markers.scanned.end()) {
      return markers.complete ? corrupt(kName, "a colour component has no data") : truncated(kName);
    }
  }
  return {};
}

Result<void> check_jpeg_cost(const JpegMarkers& markers, unsigned reduction, const ImageConfig& limits) {
  const std::uint64_t width = markers.width, height = markers.height, once = limits.pixels_max;
  const std::uint64_t reduced = (width + reduction - 1) / reduction * ((height + reduction - 1) / reduction);
  const bool one_pass = markers.sequential && markers.scans == 1;
  const bool too_costly =
      one_pass ? width * height > kOnePassPixels * once : markers.samples > kSamplesPerPixelMax * once;
  if (reduced <= once && !too_costly) return {};
  const std::uint64_t by_reduction = std::uint64_t{reduction} * reduction * once;
  const std::uint64_t by_cost =
      one_pass ? kOnePassPixels * once
               : width * height * kSamplesPerPixelMax * once / std::max<std::uint64_t>(1, markers.samples);
  return too_many_pixels(kName, width, height, std::min(by_reduction, by_cost));
}

}  // namespace imgrec::decode
