// From RGB pixels to a network's input (NCHW, float), as torchvision does it on Pillow images:
//   resize  shorter side to 256 * input_size / 224, bilinear with a support scaled to the reduction ("antialias")
//   crop    the centre, input_size x input_size
//   scale   by the profile
// The arithmetic of the resize (two passes, horizontal first, 22-bit fixed point, rounded to 8 bits in between) is
// Pillow's (src/libImaging/Resample.c, described in its documentation as "BILINEAR"), so that answers are the same as
// those of models trained and measured with it; only the part that the crop keeps is computed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/image.hpp"
#include "inference/model_store.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct InputSize {
  int width = 0, height = 0;
  std::size_t floats() const { return 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height); }
};

/// One thread at a time; buffers are kept.
class Preprocessor {
 public:
  Preprocessor(PreprocessProfile profile, int input_size);

  /// The size of the network's input for this image. Errors (as_is only): invalid "image_too_large" for more pixels
  /// than a network can take in bounded memory.
  Result<InputSize> input_size_for(const Image& image) const;

  /// Fills `input`, which has input_size_for(image).floats() elements: all red, then green, then blue.
  void run(const Image& image, std::span<float> input);

  /// The weights with which one output sample of a pass adds up input samples first, first + 1, …
  struct Window {
    int first = 0, count = 0;
    std::size_t weights_at = 0;
  };
  struct Pass {
    std::vector<Window> windows;
    std::vector<std::int32_t> weights;  // 22-bit fixed point
  };

 private:
  void resize_and_crop(const Image& image, std::span<float> input);

  PreprocessProfile profile_;
  int input_size_;
  std::array<std::array<float, 256>, 3> scale_;  // per channel: byte to the network's number
  Pass horizontal_, vertical_;
  std::vector<std::uint8_t> rows_;  // after the horizontal pass
  std::vector<std::int32_t> sums_;
};

}  // namespace imgrec
