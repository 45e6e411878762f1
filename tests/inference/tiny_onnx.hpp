// A classifier of a few bytes, as an ONNX file: data [1,3,H,W] → average per channel → two or three logits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace imgrec::test {

struct TinyOnnx {
  int opset = 9;
  std::string pool = "GlobalAveragePool";                    // its operator's name: another one is unknown
  std::vector<float> weights = {1, 0, 0, 0, 1, 0, 0, 0, 1};  // 3 numbers for each logit
};

std::string encode_onnx(const TinyOnnx& model = {});

}  // namespace imgrec::test
