// The classifier of tiny_onnx.hpp as an OpenVINO IR: data [1,3,H,W] → average per channel → three logits.
#pragma once

#include <string>

namespace imgrec::test {

struct TinyIr {
  std::string pool = "ReduceMean";  // its operator's name: another one is unknown
  std::string input = "1,3,224,224";
  std::string weights_offset = "16", weights_shape = "3,3", weights_size = "36";
};

std::string encode_ir(const TinyIr& model = {});  // the .xml
std::string encode_ir_weights();                  // the .bin

}  // namespace imgrec::test
