// The markers of a JPEG, read before libjpeg sees the file (ITU-T T.81, annex B).
#pragma once

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
  std::vector<unsigned> components;  // of the frame
  std::vector<unsigned> scanned;     // component ids that some scan carries
};

JpegMarkers read_jpeg_markers(ByteView bytes);

/// Errors: image_too_large, image_truncated, image_corrupt, as far as markers tell.
Result<void> check_jpeg_markers(const JpegMarkers& markers, const ImageConfig& limits);

}  // namespace imgrec::decode
