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

Result<std::uint64_t> check_tensor(ByteView bytes) {
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
  return tensor.elements;
}

// GraphProto: node 1, initializer 5. NodeProto: op_type 4.
Result<void> check_graph(ByteView bytes, OnnxFile& file) {
  Fields fields(bytes);
  while (const auto field = fields.next()) {
    if (field->number == 5) {
      const auto elements = check_tensor(field->bytes);
      if (!elements) return fail(elements.error());
      file.parameters += *elements;
    }
    if (field->number != 1) continue;
    Fields node(field->bytes);
    while (const auto part = node.next()) {
      if (part->number == 4) file.operators.emplace(part->bytes);
    }
    if (node.broken()) return broken();
  }
  if (fields.broken()) return broken();
  return {};
}

}  // namespace

// ModelProto: graph 7, opset_import 8. OperatorSetIdProto: domain 1, version 2.
Result<OnnxFile> inspect_onnx(ByteView bytes) {
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
