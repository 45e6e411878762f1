// A classifier of a few bytes, as an ONNX file: data [1,3,H,W] → average per channel "flat" → two or three "logits" →
// "answer", when there is an ending.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace imgrec::test {

struct TinyOnnx {
  int opset = 9;
  std::string pool = "GlobalAveragePool";                    // its operator's name: another one is unknown
  std::vector<float> weights = {1, 0, 0, 0, 1, 0, 0, 0, 1};  // 3 numbers for each logit
  std::vector<std::int64_t> input = {1, 3, 224, 224};        // -1: any length; a last one of 3: channels last
  int element = 1;                                           // TensorProto.DataType; 2, uint8, is cast to float32
  std::string ending{};                                      // an operator: Softmax …
  std::vector<std::string> outputs{};                        // empty: the last one alone
};

std::string encode_onnx(const TinyOnnx& model = {});

}  // namespace imgrec::test
