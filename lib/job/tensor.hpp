// A network's input that a client computed itself, as it lies in the object store in the place of an image.
//
//   imgrec-tensor 1 f32 3 224 224\n     one line of text: version, element, channels, height, width
//   then the numbers: little-endian, a plane for each channel, row by row
//
// No image begins like this, and what clients send as an image is refused at the door when it does.
#pragma once

#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct TensorView {
  int height = 0, width = 0;  // 3 channels
  ByteView numbers;           // 3 * height * width floats, perhaps not aligned
};

constexpr int kTensorSideMax = 8192;
/// Numbers that a network's input may have: images have 0 to 255 at most, before they are scaled.
constexpr float kTensorValueMax = 1e4F;

/// The line before the numbers.
std::string tensor_header(int height, int width);

bool is_tensor(ByteView object);
/// Perhaps one that a newer web node made (lib/job/other_version.hpp).
bool is_tensor_of_other_version(ByteView object);

/// Errors: invalid "bad_tensor": another version or element, a size that differs from the numbers that follow, a number
/// that is not finite or beyond kTensorValueMax.
Result<TensorView> parse_tensor(ByteView object);

}  // namespace imgrec
