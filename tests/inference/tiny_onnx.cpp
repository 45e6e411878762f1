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

std::string value_info(const std::string& name, int element, const std::vector<std::int64_t>& dims) {
  std::string shape;
  for (const std::int64_t dim : dims) {
    shape += data(1, dim < 0 ? data(2, "any") : number(1, static_cast<std::uint64_t>(dim)));
  }
  return data(1, name) + data(2, data(1, number(1, static_cast<std::uint64_t>(element)) + data(2, shape)));
}

// Attributes: name 1, i 3, ints 8, type 20 (2: an integer, 7: several).
std::string integer(const std::string& name, std::uint64_t value) {
  return data(5, data(1, name) + number(3, value) + number(20, 2));
}
std::string integers(const std::string& name, const std::vector<std::uint64_t>& values) {
  std::string out = data(1, name);
  for (const std::uint64_t value : values) out += number(8, value);
  return data(5, out + number(20, 7));
}

// From what is declared to planes of floats; the name of these.
std::string add_entry(const TinyOnnx& model, std::string& nodes) {
  std::string last = "data";
  if (model.element == 2) {
    nodes += data(1, node("Cast", {last}, "floats") + integer("to", 1));
    last = "floats";
  }
  if (model.input.back() == 3 && model.input[1] != 3) {
    nodes += data(1, node("Transpose", {last}, "planes") + integers("perm", {0, 3, 1, 2}));
    last = "planes";
  }
  return last;
}

}  // namespace

std::string encode_onnx(const TinyOnnx& model) {
  const std::uint64_t classes = model.weights.size() / 3;
  std::string nodes;
  const std::string entry = add_entry(model, nodes);
  // Gemm wants [classes, 3] with transB = 1.
  nodes += data(1, node(model.pool, {entry}, "pooled")) + data(1, node("Flatten", {"pooled"}, "flat")) +
           data(1, node("Gemm", {"flat", "w", "b"}, "logits") + integer("transB", 1));
  if (!model.ending.empty()) nodes += data(1, node(model.ending, {"logits"}, "answer"));
  std::string outputs;
  for (const std::string& name : model.outputs) {
    outputs += data(12, value_info(name, 1, {1, name == "flat" ? 3 : static_cast<std::int64_t>(classes)}));
  }
  if (model.outputs.empty()) {
    const std::string name = model.ending.empty() ? "logits" : "answer";
    outputs = data(12, value_info(name, 1, {1, static_cast<std::int64_t>(classes)}));
  }
  const std::string graph = nodes + data(2, "tiny") + data(5, tensor("w", {classes, 3}, model.weights)) +
                            data(5, tensor("b", {classes}, std::vector<float>(classes, 0.0F))) +
                            data(11, value_info("data", model.element, model.input)) + outputs;
  return number(1, 4) + data(7, graph) + data(8, data(1, "") + number(2, static_cast<std::uint64_t>(model.opset)));
}

}  // namespace imgrec::test
