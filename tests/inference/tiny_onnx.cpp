// Field numbers of onnx.proto3, protocol buffers' wire format.
#include "tests/inference/tiny_onnx.hpp"

#include <cstring>

namespace imgrec::test {
namespace {

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value > 127; value >>= 7) out += static_cast<char>((value & 127) | 128);
  return out + static_cast<char>(value);
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string data(int field, const std::string& value) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}

std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
  std::string out;
  for (const std::string& input : inputs) out += data(1, input);
  return out + data(2, output) + data(3, output) + data(4, op);
}

std::string tensor(const std::string& name, const std::vector<std::uint64_t>& dims, const std::vector<float>& values) {
  std::string out;
  for (const std::uint64_t dim : dims) out += number(1, dim);
  std::string raw(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(raw.data(), values.data(), raw.size());
  return out + number(2, 1) + data(8, name) + data(9, raw);
}

std::string value_info(const std::string& name, const std::vector<std::uint64_t>& dims) {
  std::string shape;
  for (const std::uint64_t dim : dims) shape += data(1, number(1, dim));
  return data(1, name) + data(2, data(1, number(1, 1) + data(2, shape)));
}

}  // namespace

std::string encode_onnx(const TinyOnnx& model) {
  const std::uint64_t classes = model.weights.size() / 3;
  // Gemm wants [classes, 3] with transB = 1.
  const std::string trans_b = data(5, data(1, "transB") + number(3, 1) + number(20, 2));
  const std::string graph =
      data(1, node(model.pool, {"data"}, "pooled")) + data(1, node("Flatten", {"pooled"}, "flat")) +
      data(1, node("Gemm", {"flat", "w", "b"}, "logits") + trans_b) + data(2, "tiny") +
      data(5, tensor("w", {classes, 3}, model.weights)) +
      data(5, tensor("b", {classes}, std::vector<float>(classes, 0.0F))) +
      data(11, value_info("data", {1, 3, 224, 224})) + data(12, value_info("logits", {1, classes}));
  return number(1, 4) + data(7, graph) + data(8, data(1, "") + number(2, static_cast<std::uint64_t>(model.opset)));
}

}  // namespace imgrec::test
