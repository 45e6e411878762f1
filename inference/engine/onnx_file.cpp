// Protocol buffers' wire format (https://protobuf.dev/programming-guides/encoding) and the field numbers of
// onnx.proto3.
#include "inference/engine/onnx_file.hpp"

#include <optional>

namespace imgrec {
namespace {

std::unexpected<Error> unusable(const std::string& what) {
  return fail(ErrorKind::invalid, "model_unusable", what);
}

std::unexpected<Error> broken() {
  return unusable("The file is no complete ONNX model: it ends early, is damaged, or is something else.");
}

struct Field {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  // of a number
  ByteView bytes;           // of text, bytes, a message, a packed list
  bool is_bytes = false;
};

// Walks over the fields of one message. next(): nothing at the end; broken() tells whether the end was a clean one.
class Fields {
 public:
  explicit Fields(ByteView bytes) : bytes_(bytes) {}

  std::optional<Field> next() {
    if (bytes_.empty() || broken_) return std::nullopt;
    Field field;
    const std::uint64_t key = varint();
    field.number = static_cast<std::uint32_t>(key >> 3);
    switch (key & 7) {
      case 0: field.value = varint(); break;
      case 1: field.bytes = take(8); break;
      case 2:
        field.bytes = take(varint());
        field.is_bytes = true;
        break;
      case 5: field.bytes = take(4); break;
      default: broken_ = true;
    }
    if (field.number == 0) broken_ = true;
    if (broken_) return std::nullopt;
    return field;
  }
  bool broken() const { return broken_; }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    broken_ = true;
    return 0;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  ByteView take(std::uint64_t count) {
    if (count > bytes_.size()) {
      broken_ = true;
      return {};
    }
    const ByteView taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  ByteView bytes_;
  bool broken_ = false;
};

constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 31;

// TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9, data_location 14.
struct Tensor {
  std::uint64_t elements = 1, raw_bytes = 0, type = 0;
  bool has_raw = false, is_external = false;
  std::string name;
};

std::size_t element_bytes(std::uint64_t type) {
  switch (type) {
    case 1:
    case 6:
    case 12: return 4;  // float, int32, uint32
    case 2:
    case 3:
    case 9: return 1;  // uint8, int8, bool
    case 4:
    case 5:
    case 10:
    case 16: return 2;  // uint16, int16, float16, bfloat16
    case 7:
    case 11:
    case 13: return 8;  // int64, double, uint64
    default: return 0;
  }
}

bool multiply_dimension(Tensor& tensor, std::uint64_t dimension) {
  if (dimension > kElementsMax) return false;
  tensor.elements *= dimension;
  return tensor.elements <= kElementsMax;
}

Result<Tensor> check_tensor(ByteView bytes) {
  Tensor tensor;
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number == 1 && !field->is_bytes && !multiply_dimension(tensor, field->value)) return broken();
    if (field->number == 1 && field->is_bytes) {
      Fields packed(field->bytes);
      while (!packed.empty() && !packed.broken()) {
        if (!multiply_dimension(tensor, packed.varint())) return broken();
      }
      if (packed.broken()) return broken();
    }
    if (field->number == 2) tensor.type = field->value;
    if (field->number == 8) tensor.name = field->bytes;
    if (field->number == 9) tensor.has_raw = true, tensor.raw_bytes = field->bytes.size();
    if (field->number == 14 && field->value == 1) tensor.is_external = true;
  }
  if (fields.broken()) return broken();
  if (tensor.is_external) {
    return unusable(
        "The model keeps its weights in another file; save it as one file (onnx.save without external data).");
  }
  const std::size_t each = element_bytes(tensor.type);
  if (tensor.has_raw && each != 0 && tensor.raw_bytes != tensor.elements * each) {
    return unusable("The model is damaged: a weight's size does not match its shape.");
  }
  return tensor;
}

// TensorShapeProto: dim 1. Dimension: dim_value 1; with dim_param 2, or without either, it has any length.
bool read_shape(ByteView bytes, OnnxPort& port) {
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number != 1 || !field->is_bytes) continue;
    std::int64_t length = -1;
    Fields dimension(field->bytes);
    while (const auto part = dimension.next()) {
      if (part->number != 1 || part->is_bytes) continue;
      // Some exporters write 0 or -1 for a length that is not fixed.
      length = part->value == 0 || part->value > kElementsMax ? -1 : static_cast<std::int64_t>(part->value);
    }
    if (dimension.broken()) return false;
    port.shape.push_back(length);
  }
  return !fields.broken();
}

// ValueInfoProto: name 1, type 2. TypeProto: tensor_type 1. Tensor: elem_type 1, shape 2.
Result<OnnxPort> read_port(ByteView bytes) {
  OnnxPort port;
  ByteView type, tensor;
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number == 1) port.name = field->bytes;
    if (field->number == 2) type = field->bytes;
  }
  Fields kinds(type);
  while (const auto field = kinds.next()) {
    if (field->number == 1) tensor = field->bytes;
  }
  Fields parts(tensor);
  bool shape_ok = true;
  while (const auto part = parts.next()) {
    if (part->number == 1 && !part->is_bytes && part->value < 1000) port.type = static_cast<int>(part->value);
    if (part->number != 2 || !part->is_bytes) continue;
    port.has_shape = true;
    shape_ok = read_shape(part->bytes, port);
  }
  if (fields.broken() || kinds.broken() || parts.broken() || !shape_ok) return broken();
  return port;
}

// NodeProto: input 1, output 2, op_type 4.
Result<void> read_node(ByteView bytes, OnnxFile& file) {
  OnnxFile::Node node;
  std::string output;
  Fields fields(bytes);
  while (const auto part = fields.next()) {
    if (part->number == 1 && node.input.empty()) node.input = part->bytes;
    if (part->number == 2 && output.empty()) output = part->bytes;
    if (part->number == 4) node.operation = part->bytes;
  }
  if (fields.broken()) return broken();
  file.operators.insert(node.operation);
  file.nodes.emplace(std::move(output), std::move(node));
  return {};
}

// GraphProto: node 1, initializer 5, input 11, output 12.
Result<void> check_graph(ByteView bytes, OnnxFile& file) {
  std::set<std::string> weights;
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number == 5) {
      const auto weight = check_tensor(field->bytes);
      if (!weight) return fail(weight.error());
      file.parameters += weight->elements;
      weights.insert(weight->name);
    } else if (field->number == 11 || field->number == 12) {
      auto port = read_port(field->bytes);
      if (!port) return fail(port.error());
      (field->number == 11 ? file.inputs : file.outputs).push_back(*std::move(port));
    } else if (field->number == 1) {
      if (auto ok = read_node(field->bytes, file); !ok) return ok;
    }
  }
  if (fields.broken()) return broken();
  // Older files list their weights among the inputs.
  std::erase_if(file.inputs, [&](const OnnxPort& port) { return weights.contains(port.name); });
  return {};
}

// What people take for an ONNX file.
Result<void> other_format(ByteView bytes) {
  if (bytes.empty()) return unusable("The file is empty.");
  if (bytes.starts_with("version https://git-lfs.github.com/spec/")) {
    return unusable(
        "The file is a Git LFS pointer, not the model itself: `git lfs pull` in its repository fetches the model.");
  }
  constexpr std::string_view kExport = " Export the network as ONNX (torch.onnx.export, tf2onnx) and import that file.";
  const auto named = [&](const char* what) {
    return unusable("The file is " + std::string(what) + ", no ONNX model." + std::string(kExport));
  };
  if (bytes.starts_with("PK\x03\x04")) return named("a ZIP archive, such as PyTorch's .pt or Keras' .keras");
  if (bytes.starts_with("\x89HDF")) return named("an HDF5 file, such as Keras' .h5");
  if (bytes.substr(0, 8).ends_with("TFL3")) return named("a TensorFlow Lite model");
  return {};
}

}  // namespace

std::string OnnxFile::producer(const std::string& output) const {
  static const std::set<std::string, std::less<>> kShapeOnly = {"Identity", "Cast",    "Flatten",
                                                                "Reshape",  "Squeeze", "Unsqueeze"};
  std::string name = output;
  for (std::size_t steps = 0; steps <= nodes.size(); ++steps) {  // a damaged graph may have a circle
    const auto found = nodes.find(name);
    if (found == nodes.end()) return {};
    if (!kShapeOnly.contains(found->second.operation)) return found->second.operation;
    name = found->second.input;
  }
  return {};
}

// ModelProto: graph 7, opset_import 8. OperatorSetIdProto: domain 1, version 2.
Result<OnnxFile> inspect_onnx(ByteView bytes) {
  if (auto other = other_format(bytes); !other) return fail(other.error());
  OnnxFile file;
  bool has_graph = false;
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number == 7 && field->is_bytes) {
      has_graph = true;
      if (auto ok = check_graph(field->bytes, file); !ok) return fail(ok.error());
    } else if (field->number == 8 && field->is_bytes) {
      Fields opset(field->bytes);
      bool is_default = true;
      std::int64_t version = 0;
      while (const auto part = opset.next()) {
        if (part->number == 1) is_default = part->bytes.empty() || part->bytes == "ai.onnx";
        if (part->number == 2) version = static_cast<std::int64_t>(part->value);
      }
      if (is_default) file.opset = version;
    }
  }
  if (fields.broken() || !has_graph) return broken();
  if (file.operators.empty()) return unusable("The model has no operators.");
  return file;
}

}  // namespace imgrec
