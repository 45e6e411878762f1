// JPEG on libjpeg-turbo, with its default (accurate) DCT and smooth chroma upsampling: bit for bit what Pillow decodes.
// Sequential files go through the entropy decoder of jpeg_huffman.hpp first, which gives the same pixels or gives up;
// then libjpeg decodes from the start by itself. Where the library's inner structures are not known at build time, it
// always does.
#pragma once

#include <memory>

#include "inference/decode/rows.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec::decode {

/// A RowSink for an image as it is stored.
class StoredRowSink {
 public:
  virtual ~StoredRowSink() = default;
  /// As RowSink::reduction_max().
  virtual int reduction_max(int, int) const { return 1; }
  /// As RowSink::begin; orientation: EXIF, 1 to 8.
  virtual Result<Region> begin(int width, int height, int orientation) = 0;
  virtual void put(const Rows& rows) = 0;
};

enum class JpegWay {
  quickest,
  portable,  // the same with the instructions that every processor has
  plain,     // libjpeg alone
};

/// One thread at a time; buffers are kept.
class JpegDecoder {
 public:
  JpegDecoder();
  ~JpegDecoder();

  /// Errors: those of lib/ports/classifier.hpp, and the sink's.
  Result<void> decode(ByteView bytes, const ImageConfig& limits, StoredRowSink& sink, JpegWay way = JpegWay::quickest);

  /// How the last image was decoded; for tests and measurements.
  JpegWay last_way() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgrec::decode
