#include "lib/job/tensor.hpp"

#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

namespace imgrec {
namespace {

constexpr std::string_view kMagic = "imgrec-tensor ";
constexpr std::string_view kKind = "imgrec-tensor 1 f32 3 ";
constexpr std::size_t kLineMax = 64;

std::unexpected<Error> bad_tensor(std::string what) {
  return fail(ErrorKind::invalid, "bad_tensor", std::move(what));
}

/// Takes a side and the character after it from the front of the line; 0 when there is none.
int take_side(std::string_view& line, char end) {
  int side = 0;
  const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), side);
  const auto taken = static_cast<std::size_t>(rest - line.data());
  if (error != std::errc() || taken >= line.size() || line[taken] != end) return 0;
  line.remove_prefix(taken + 1);
  return side > 0 && side <= kTensorSideMax ? side : 0;
}

}  // namespace

std::string tensor_header(int height, int width) {
  return std::string(kKind) + std::to_string(height) + " " + std::to_string(width) + "\n";
}

bool is_tensor(ByteView object) {
  return object.starts_with(kMagic);
}

bool is_tensor_of_other_version(ByteView object) {
  if (!is_tensor(object)) return false;
  const std::string_view rest = object.substr(kMagic.size(), kLineMax);
  const std::string_view version = rest.substr(0, rest.find(' '));
  return !version.empty() && version.find_first_not_of("0123456789") == std::string_view::npos && version != "1";
}

Result<TensorView> parse_tensor(ByteView object) {
  std::string_view line = object.substr(0, kLineMax);
  line = line.substr(0, line.find('\n') + 1);
  const std::size_t header = line.size();
  if (!line.starts_with(kKind)) return bad_tensor("The tensor is of another kind than 1 f32 3.");
  line.remove_prefix(kKind.size());
  TensorView tensor;
  tensor.height = take_side(line, ' ');
  tensor.width = take_side(line, '\n');
  if (tensor.height == 0 || tensor.width == 0) return bad_tensor("The tensor's size cannot be read.");
  tensor.numbers = object.substr(header);
  const std::size_t count = 3 * static_cast<std::size_t>(tensor.height) * static_cast<std::size_t>(tensor.width);
  if (tensor.numbers.size() != count * sizeof(float)) {
    return bad_tensor("The tensor has " + std::to_string(tensor.numbers.size()) + " bytes where its size needs " +
                      std::to_string(count * sizeof(float)) + ".");
  }
  for (std::size_t i = 0; i < count; ++i) {
    float value = 0;
    std::memcpy(&value, tensor.numbers.data() + i * sizeof value, sizeof value);
    if (!(std::abs(value) <= kTensorValueMax)) {
      return bad_tensor("Number " + std::to_string(i) + " of the tensor is not finite or beyond 10,000.");
    }
  }
  return tensor;
}

}  // namespace imgrec
