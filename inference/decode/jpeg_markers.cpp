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

void read_segment(unsigned marker, ByteView payload, JpegMarkers& markers) {
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

}  // namespace imgrec::decode
