// From the bytes of an image file to RGB pixels: JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC and AVIF, straight on the
// formats' own libraries, each told to refuse what is broken. README.md has what others make of unusual files.
//
// Colours  what Pillow's Image.open(...).convert("RGB") gives, since the reference answers were computed with it: alpha
//          is dropped (not blended), embedded colour profiles and gamma are not applied, 16-bit samples keep their high
//          byte, CMYK is converted plainly (Adobe's JPEGs are stored inverted).
// Frames   the first frame of a GIF, of an animated WebP or PNG, the first page of a TIFF.
// Turning  EXIF orientation (JPEG, PNG, WebP), TIFF's tag and the rotation of HEIC and AVIF are applied.
// Limits   dimensions and JPEG scans are checked before pixels are decoded; compressed metadata is never unpacked;
//          whatever a file says, decoding takes at most about 16 bytes a pixel of the limit. HEIC and AVIF are decoded
//          in a process of their own, which has limits on memory and time.
#pragma once

#include "inference/decode/image.hpp"
#include "inference/decode/jpeg.hpp"
#include "inference/decode/rows.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// One thread at a time. Buffers are kept for the next image, up to a size that photos need.
class ImageDecoder {
 public:
  explicit ImageDecoder(const ImageConfig& limits) : limits_(limits) {}

  /// The image, upright, goes to the sink. A JPEG is decoded only where the sink wants it, and is nowhere whole.
  /// Errors: invalid, with the codes of lib/ports/classifier.hpp, and the sink's. A file that ends early or contradicts
  /// itself is an error: there are no half images.
  Result<void> decode(ByteView bytes, RowSink& sink);

  /// The whole image, valid until the next call.
  Result<const Image*> decode(ByteView bytes);

 private:
  Result<void> decode_checked(ByteView bytes, RowSink& sink);

  ImageConfig limits_;
  decode::JpegDecoder jpeg_;
  Image image_, turned_, whole_;
};

}  // namespace imgrec
