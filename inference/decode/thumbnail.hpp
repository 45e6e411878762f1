// Small pictures of images, for pages whose browser cannot show a format itself.
#pragma once

#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// A JPEG of the whole image, upright, without metadata. side: pixels of its longer side; a smaller image keeps its
/// size. Errors: those of ImageDecoder (inference/decode/decode.hpp).
Result<std::string> make_thumbnail(ByteView encoded_image, int side, const ImageConfig& limits);

}  // namespace imgrec
