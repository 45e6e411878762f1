#include "roles/web/compat/inference_input.hpp"

#include <simdjson.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/base64.hpp"
#include "lib/job/tensor.hpp"

namespace imgrec {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kDimensionsMax = 8;
constexpr std::size_t kDataDepthMax = 4;  // lists within lists, as the shape has dimensions

struct Input {
  std::string_view datatype;
  std::vector<std::int64_t> shape;
  std::optional<std::string_view> binary;  // else `data`
  dom::element data;
};

Result<std::vector<std::int64_t>> shape_of(const dom::object& input) {
  dom::array list;
  if (input["shape"].get(list) != simdjson::SUCCESS) return bad_inference_request("The input has no shape.");
  std::vector<std::int64_t> shape;
  for (const dom::element element : list) {
    std::int64_t side = 0;
    if (element.get(side) != simdjson::SUCCESS || side < 1 || side > INT32_MAX || shape.size() == kDimensionsMax) {
      return bad_inference_request("The input's shape is no list of a few numbers from 1.");
    }
    shape.push_back(side);
  }
  return shape;
}

// One input: its binary data is all that follows the JSON.
Result<Input> input_of(const dom::object& request, std::string_view binary) {
  dom::array inputs;
  dom::object object;
  if (request["inputs"].get(inputs) != simdjson::SUCCESS || inputs.size() != 1 ||
      inputs.at(0).get(object) != simdjson::SUCCESS) {
    return bad_inference_request("inputs is a list of one input: \"image\" (BYTES) or \"tensor\" (FP32).");
  }
  Input input;
  if (object["datatype"].get(input.datatype) != simdjson::SUCCESS)
    return bad_inference_request("The input has no datatype.");
  auto shape = shape_of(object);
  if (!shape) return fail(shape.error());
  input.shape = *std::move(shape);
  std::uint64_t bytes = 0;
  if (object["parameters"]["binary_data_size"].get(bytes) == simdjson::SUCCESS) {
    if (bytes != binary.size()) {
      return bad_inference_request("binary_data_size is " + std::to_string(bytes) + ", and " +
                                   std::to_string(binary.size()) +
                                   " bytes follow the JSON (Inference-Header-Content-Length says where it ends).");
    }
    input.binary = binary;
  } else if (object["data"].get(input.data) != simdjson::SUCCESS) {
    return bad_inference_request("The input has neither data nor binary_data_size.");
  }
  return input;
}

/// Calls `take` with every element, whatever lists they are in; stops at its first error.
template <class Take>
Result<void> for_each_element(const dom::element& data, std::size_t depth, const Take& take) {
  dom::array list;
  if (data.get(list) != simdjson::SUCCESS) return take(data);
  if (depth == 0) return bad_inference_request("The input's data has more lists within lists than dimensions.");
  for (const dom::element element : list) {
    if (auto taken = for_each_element(element, depth - 1, take); !taken) return taken;
  }
  return {};
}

std::unexpected<Error> too_many(std::int64_t count, int images_max) {
  return fail(ErrorKind::invalid, "too_many_images",
              "The request has " + std::to_string(count) + " images; at most " + std::to_string(images_max) +
                  " are accepted. Send several requests.");
}

// Each element of binary BYTES is its length, 32 bits, and its bytes.
Result<std::vector<std::string_view>> elements_of(std::string_view binary, std::size_t count) {
  std::vector<std::string_view> elements;
  while (!binary.empty()) {
    std::uint32_t bytes = 0;
    if (binary.size() < sizeof bytes || elements.size() == count) break;
    std::memcpy(&bytes, binary.data(), sizeof bytes);
    binary.remove_prefix(sizeof bytes);
    if (bytes > binary.size()) break;
    elements.push_back(binary.substr(0, bytes));
    binary.remove_prefix(bytes);
  }
  if (!binary.empty() || elements.size() != count) {
    return bad_inference_request("The binary data is not " + std::to_string(count) + " elements of BYTES.");
  }
  return elements;
}

ShapedRequest with_pieces(std::string bytes, std::span<const std::size_t> sizes,
                          const std::shared_ptr<const std::string>& memory, bool is_tensor) {
  // The request's memory counts for as long as what was made of it.
  struct Held {
    std::string bytes;
    std::shared_ptr<const std::string> memory;
  };
  const auto held = std::make_shared<const Held>(std::move(bytes), memory);
  ShapedRequest request;
  request.body = {held, &held->bytes};
  std::size_t at = 0;
  for (const std::size_t size : sizes) {
    request.images.push_back(
        {.name = "", .bytes = std::string_view(*request.body).substr(at, size), .is_tensor = is_tensor});
    at += size;
  }
  return request;
}

Result<ShapedRequest> read_images(const Input& input, const std::shared_ptr<const std::string>& body, int images_max) {
  const bool is_list = input.shape.size() == 1 || (input.shape.size() == 2 && input.shape[1] == 1);
  if (!is_list) return bad_inference_request("The shape of \"image\" is [N] or [N, 1].");
  if (input.shape[0] > images_max) return too_many(input.shape[0], images_max);
  const auto count = static_cast<std::size_t>(input.shape[0]);
  if (input.binary) {
    const auto elements = elements_of(*input.binary, count);
    if (!elements) return fail(elements.error());
    ShapedRequest request;
    request.body = body;
    for (const std::string_view element : *elements) request.images.push_back({.name = "", .bytes = element});
    return request;
  }
  std::string bytes;
  std::vector<std::size_t> sizes;
  const auto take = [&](const dom::element& element) -> Result<void> {
    std::string_view base64;
    if (element.get(base64) != simdjson::SUCCESS || sizes.size() == count) {
      return bad_inference_request("The data of \"image\" is not as many texts in base64 as its shape says.");
    }
    const auto image = base64_decode(base64);
    if (!image) return fail(image.error());
    bytes += *image;
    sizes.push_back(image->size());
    return {};
  };
  if (auto taken = for_each_element(input.data, kDataDepthMax, take); !taken) return fail(taken.error());
  if (sizes.size() != count)
    return bad_inference_request("The data of \"image\" has fewer elements than its shape says.");
  return with_pieces(std::move(bytes), sizes, body, /*is_tensor=*/false);
}

Result<std::string> numbers_of(const Input& input, std::size_t count) {
  if (input.binary) {
    if (input.binary->size() != count * sizeof(float)) {
      return bad_inference_request("The binary data is not the " + std::to_string(count) +
                                   " numbers that the shape says.");
    }
    return std::string(*input.binary);
  }
  std::string numbers;
  const auto take = [&](const dom::element& element) -> Result<void> {
    double number = 0;
    if (element.get(number) != simdjson::SUCCESS || numbers.size() == count * sizeof(float)) {
      return bad_inference_request("The data of \"tensor\" is not as many numbers as its shape says.");
    }
    const auto value = static_cast<float>(number);
    numbers.append(reinterpret_cast<const char*>(&value), sizeof value);
    return {};
  };
  if (auto taken = for_each_element(input.data, kDataDepthMax, take); !taken) return fail(taken.error());
  if (numbers.size() != count * sizeof(float)) {
    return bad_inference_request("The data of \"tensor\" has fewer numbers than its shape says.");
  }
  return numbers;
}

Result<ShapedRequest> read_tensors(const Input& input, const std::shared_ptr<const std::string>& body, int images_max) {
  if (input.shape.size() != 4 || input.shape[1] != 3 || input.shape[2] > kTensorSideMax ||
      input.shape[3] > kTensorSideMax) {
    return bad_inference_request("The shape of \"tensor\" is [N, 3, height, width].");
  }
  if (input.shape[0] > images_max) return too_many(input.shape[0], images_max);
  const int height = static_cast<int>(input.shape[2]), width = static_cast<int>(input.shape[3]);
  const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  const auto count = static_cast<std::size_t>(input.shape[0]);
  const auto numbers = numbers_of(input, count * one);
  if (!numbers) return fail(numbers.error());
  const std::string header = tensor_header(height, width);
  std::string bytes;
  bytes.reserve(count * (header.size() + one * sizeof(float)));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = bytes.size();
    bytes += header;
    bytes.append(*numbers, i * one * sizeof(float), one * sizeof(float));
    if (auto checked = parse_tensor(std::string_view(bytes).substr(begin)); !checked) return fail(checked.error());
  }
  const std::vector<std::size_t> sizes(count, header.size() + one * sizeof(float));
  return with_pieces(std::move(bytes), sizes, body, /*is_tensor=*/true);
}

}  // namespace

std::unexpected<Error> bad_inference_request(std::string what) {
  return fail(ErrorKind::invalid, "bad_inference_request", std::move(what));
}

Result<ShapedRequest> read_inference_input(const dom::object& request, const std::shared_ptr<const std::string>& body,
                                           std::string_view binary, int images_max) {
  const auto input = input_of(request, binary);
  if (!input) return fail(input.error());
  if (input->datatype == "BYTES") return read_images(*input, body, images_max);
  if (input->datatype == "FP32") return read_tensors(*input, body, images_max);
  return bad_inference_request("The input's datatype is BYTES (encoded images) or FP32 (the network's input).");
}

}  // namespace imgrec
