// The markers of a JPEG, read before libjpeg sees the file (ITU-T T.81, annex B).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec::decode {

struct JpegMarkers {
  int scans = 0;
  int orientation = 1;
  unsigned width = 0, height = 0;
  bool complete = false;             // an end-of-image marker was found
  bool sequential = false;           // not progressive, not lossless
  std::uint64_t samples = 0;         // of all components
  std::vector<unsigned> components;  // of the frame
  std::vector<unsigned> scanned;     // component ids that some scan carries
};

/// Goes through the entropy-coded data of the first scan in any case, so that the markers behind it need not be
/// searched for.
class EntropyCodedReader {
 public:
  virtual ~EntropyCodedReader() = default;
  /// bytes: from the first entropy-coded one on. The position of a marker, with no other before it but restarts;
  /// nothing when there is none.
  virtual std::optional<std::size_t> read(ByteView bytes) = 0;
};

/// first_scan: null for nobody.
JpegMarkers read_jpeg_markers(ByteView bytes, EntropyCodedReader* first_scan = nullptr);

/// Errors: image_too_large, image_truncated, image_corrupt, as far as markers tell.
Result<void> check_jpeg_markers(const JpegMarkers& markers, const ImageConfig& limits);

/// Whether decoding at 1/reduction of the size stays within what pixels_max allows: so many pixels come out at most,
/// and what goes in costs no more than the largest image that is decoded whole.
/// Errors: image_too_large.
Result<void> check_jpeg_cost(const JpegMarkers& markers, unsigned reduction, const ImageConfig& limits);

}  // namespace imgrec::decode
