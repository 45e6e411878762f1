#include "tests/inference/tiny_ir.hpp"

#include <cstdint>
#include <cstring>
#include <vector>

namespace imgrec::test {
namespace {

// "1,3" → one <dim> each.
std::string port(const std::string& id, const std::string& precision, const std::string& shape) {
  std::string dims;
  for (std::size_t at = 0; at < shape.size();) {
    const std::size_t end = std::min(shape.find(',', at), shape.size());
    dims += "<dim>" + shape.substr(at, end - at) + "</dim>";
    at = end + 1;
  }
  return "<port id=\"" + id + "\" precision=\"" + precision + "\">" + dims + "</port>";
}

std::string layer(const std::string& id, const std::string& type, const std::string& data, const std::string& ports) {
  return "<layer id=\"" + id + "\" name=\"" + type + id + "\" type=\"" + type + "\" version=\"opset1\">" +
         (data.empty() ? "" : "<data " + data + "/>") + ports + "</layer>\n";
}

std::string edge(const std::string& from, const std::string& from_port, const std::string& to,
                 const std::string& to_port) {
  return "<edge from-layer=\"" + from + "\" from-port=\"" + from_port + "\" to-layer=\"" + to + "\" to-port=\"" +
         to_port + "\"/>\n";
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace

std::string encode_ir(const TinyIr& model) {
  const std::string input = port("0", "FP32", model.input), axes = port("1", "I64", "2"),
                    pooled = port("0", "FP32", "1,3"), weights = port("1", "FP32", "3,3"),
                    logits = port("2", "FP32", "1,3");
  return "<?xml version=\"1.0\"?>\n<net name=\"tiny\" version=\"11\">\n<layers>\n" +
         layer("0", "Parameter", "shape=\"" + model.input + "\" element_type=\"f32\"",
               "<output>" + input + "</output>") +
         layer("1", "Const", "element_type=\"i64\" shape=\"2\" offset=\"0\" size=\"16\"",
               "<output>" + port("0", "I64", "2") + "</output>") +
         layer("2", model.pool, "keep_dims=\"false\"",
               "<input>" + input + axes + "</input><output>" + logits + "</output>") +
         layer("3", "Const",
               "element_type=\"f32\" shape=\"" + model.weights_shape + "\" offset=\"" + model.weights_offset +
                   "\" size=\"" + model.weights_size + "\"",
               "<output>" + port("0", "FP32", model.weights_shape) + "</output>") +
         layer("4", "MatMul", "transpose_a=\"false\" transpose_b=\"true\"",
               "<input>" + pooled + weights + "</input><output>" + logits + "</output>") +
         layer("5", "Result", "", "<input>" + pooled + "</input>") + "</layers>\n<edges>\n" + edge("0", "0", "2", "0") +
         edge("1", "0", "2", "1") + edge("2", "2", "4", "0") + edge("3", "0", "4", "1") + edge("4", "2", "5", "0") +
         "</edges>\n</net>\n";
}

std::string encode_ir_weights() {
  return bytes_of<std::int64_t>({2, 3}) + bytes_of<float>({1, 0, 0, 0, 1, 0, 0, 0, 1});
}

}  // namespace imgrec::test
