// The directories of a TIFF, read before libtiff sees the file: it would load every tag's values, whatever they add up
// to, and would show the thumbnail of a camera RAW file. TIFF 6.0, section 2; BigTIFF as libtiff's documentation
// describes it; TIFF/EP and DNG for camera RAW.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec::decode {

struct TiffDirectory {
  std::uint64_t width = 0, height = 0;
  int orientation = 1;
};

/// The first one. bytes: of a TIFF, 8 or more.
/// Errors: image_truncated, image_corrupt, image_too_large (its tags' values).
Result<TiffDirectory> read_tiff_directory(ByteView bytes);

/// For a file of a camera's sensor data in the form of a TIFF: whose it is, "Nikon NEF", or "" where that is not known.
/// bytes: as above.
std::optional<std::string> camera_raw_maker(ByteView bytes);

}  // namespace imgrec::decode
