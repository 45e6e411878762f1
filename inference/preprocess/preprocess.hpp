// From RGB rows to a network's input (NCHW, float), as torchvision does it on Pillow images:
//   resize  shorter side to input_size / crop, bilinear with a support scaled to the reduction ("antialias")
//   crop    the centre, input_size x input_size
//   scale   by the profile, or by a mean and a scale of the model's own; colours as RGB or BGR
// The arithmetic of the resize is Pillow's, bit for bit (inference/preprocess/resample.hpp), so that answers are the
// same as those of models trained and measured with it; only the part that the crop keeps is asked for and computed.
// Rows are worked on as they come: at no time is there a whole image.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "inference/decode/image.hpp"
#include "inference/decode/rows.hpp"
#include "inference/models/model_manifest.hpp"
#include "inference/preprocess/input_size.hpp"
#include "inference/preprocess/resample.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct PreprocessOptions {
  PreprocessProfile profile = PreprocessProfile::imagenet;
  int input_size = 224;                    // pixels a side; not used by as-is
  double crop = 0.875;                     // part of the resized image's shorter side
  std::optional<ColourScaling> scaling{};  // in the place of the profile's
  ChannelOrder channels = ChannelOrder::rgb;
};

/// As the manifest says. An input of uint8 gets 0 to 255, whatever the profile.
PreprocessOptions preprocess_options(const ModelManifest& manifest);

/// One thread at a time; buffers are kept.
class Preprocessor {
 public:
  explicit Preprocessor(const PreprocessOptions& options, const resample::Kernels& kernels = resample::best_kernels());

  /// The size of the network's input for an image of this size. Errors (as_is only): invalid "image_too_large" for more
  /// pixels than a network can take in bounded memory.
  Result<InputSize> input_size_for(int width, int height) const;

  /// How many times smaller an image may be decoded, as RowSink::reduction_max(): so that enough of it is left for the
  /// resize to decide what it looks like.
  int reduction_max(int width, int height) const;

  /// Begins an image; the part of it that is needed. `input` has input_size_for(width, height).floats() elements, a
  /// plane for each colour; it is full when all rows of that part were put.
  Region begin(int width, int height, std::span<float> input);
  void put(const Rows& rows);

  /// All of it for an image that is there.
  void run(const Image& image, std::span<float> input);

 private:
  std::int64_t shorter_side() const;  // after the resize
  void plan(int width, int height);
  void put_row(const std::uint8_t* rgb);
  void put_as_is(const std::uint8_t* rgb);
  std::uint8_t* ring_row(int y);

  bool as_is() const { return options_.profile == PreprocessProfile::as_is; }

  PreprocessOptions options_;
  int input_size_;
  const resample::Kernels& kernels_;
  resample::Scaling scaling_;
  int width_ = 0, height_ = 0;  // of the image that the passes are planned for
  resample::HorizontalPlan horizontal_;
  resample::Pass vertical_;
  std::span<float> input_;
  int next_row_ = 0, next_out_ = 0;
  int ring_rows_ = 0;
  std::size_t row_bytes_ = 0;              // of a row after the horizontal pass
  std::vector<std::uint8_t> ring_;         // the last rows after the horizontal pass
  std::vector<const std::uint8_t*> rows_;  // those of one output row
  std::vector<std::uint8_t> out_row_;
};

}  // namespace imgrec
