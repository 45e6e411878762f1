// imgrec model tensors: what the network gets for each photo, as a file that numpy reads.
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstring>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/files/image_files.hpp"
#include "inference/input_tensor.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kTensorsMax = 4096;  // 2.5 GB at 224 x 224

// Format 1.0 of numpy's .npy files: magic, version, length of the header, a Python literal, padded with spaces to 64.
class NpyFile {
 public:
  explicit NpyFile(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb")) {}
  ~NpyFile() {
    if (file_ != nullptr) std::fclose(file_);
    if (!complete_ && file_ != nullptr) std::remove(path_.c_str());
  }
  NpyFile(const NpyFile&) = delete;
  NpyFile& operator=(const NpyFile&) = delete;

  /// All of one size; the header is written at the end, when their number is known.
  bool add(std::span<const float> tensor) {
    if (file_ == nullptr || (count_ == 0 && std::fseek(file_, kHeaderBytes, SEEK_SET) != 0)) return false;
    ++count_;
    return std::fwrite(tensor.data(), sizeof(float), tensor.size(), file_) == tensor.size();
  }
  bool finish(int side) {
    char header[kHeaderBytes];
    std::memset(header, ' ', sizeof header);
    std::memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);  // 0x76 = 128 - 10
    char literal[kHeaderBytes];
    const int length =
        std::snprintf(literal, sizeof literal, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, 3, %d, %d), }",
                      count_, side, side);
    std::memcpy(header + 10, literal, static_cast<std::size_t>(length));
    header[kHeaderBytes - 1] = '\n';
    complete_ = file_ != nullptr && std::fseek(file_, 0, SEEK_SET) == 0 &&
                std::fwrite(header, 1, sizeof header, file_) == sizeof header && std::fflush(file_) == 0;
    return complete_;
  }
  std::size_t count() const { return count_; }

 private:
  static constexpr long kHeaderBytes = 128;
  std::string path_;
  std::FILE* file_;
  std::size_t count_ = 0;
  bool complete_ = false;
};

int cannot_write(const std::string& path) {
  complain("Cannot write " + path + ": " + std::strerror(errno) + ".");
  return kExitUnreachable;
}

ordered_json tensors_json(const ModelEntry& entry) {
  return {{"model", entry.manifest.name},
          {"weights", entry.weights().string()},
          {"sha256", entry.manifest.sha256},
          {"output", entry.manifest.output == OutputKind::logits ? "logits" : "probabilities"},
          {"images", ordered_json::array()}};
}

int run_model_tensors(const Invocation& call) {
  const auto entry = ModelStore(call.config().model.dir).find(call.arguments.front());
  if (!entry) return report(entry.error());
  if (entry->folder.empty()) {
    complain("The model " + entry->manifest.name + " is not installed: `imgrec model list` shows which are.");
    return kExitUsage;
  }
  if (entry->manifest.profile == PreprocessProfile::as_is) {
    complain("The model " + entry->manifest.name +
             " takes images of any size as they are: its tensors have no one shape.");
    return kExitUsage;
  }
  if (entry->manifest.layout != Layout::nchw || entry->manifest.element != ElementType::float32) {
    complain("The model " + entry->manifest.name + " takes " + std::string(to_string(entry->manifest.layout)) + " " +
             std::string(to_string(entry->manifest.element)) +
             "; tensors are written for models that take nchw float32.");
    return kExitUsage;
  }
  const std::vector<ImageFile> files = find_image_files({call.option("--images")});
  if (files.empty() || files.size() > kTensorsMax) {
    complain("There are " + std::to_string(files.size()) + " images in " + call.option("--images") + ": 1 to " +
             std::to_string(kTensorsMax) + " are needed.");
    return kExitUsage;
  }
  InputTensors tensors(entry->manifest, call.config().image);
  const std::string path = call.option("--output");
  NpyFile out(path);
  ordered_json document = tensors_json(*entry);
  bool all = true;
  for (const ImageFile& file : files) {
    const Result<std::string> bytes =
        file.unreadable ? fail(*file.unreadable) : read_file(file.path, call.config().image.bytes_max);
    const Result<std::span<const float>> tensor = bytes ? tensors.of(*bytes) : fail(bytes.error());
    if (tensor && !out.add(*tensor)) return cannot_write(path);
    ordered_json line{{"file", file.path}};
    if (!tensor) line["error"] = tensor.error().message;
    document["images"].push_back(line);
    all = all && tensor;
  }
  if (!out.finish(entry->manifest.input_size)) return cannot_write(path);
  const std::string text = document.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  print(text);
  return all ? kExitOk : kExitItemFailed;
}

}  // namespace

Command model_tensors_command() {
  return {
      .name = "model tensors",
      .summary = "Write what the network gets for each photo, as a numpy file",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model tensors resnet18 --images photos/ --output photos.npy",
                    "float32, shape (photos, 3, 224, 224)"}},
      .options = {{"--images", "DIR", "photos, at most 4096", true}, {"--output", "FILE", "the .npy file", true}},
      .notes =
          "Prints a JSON object with the model's weights and the images in order; those with an error have no tensor,\n"
          "and make it exit with 1. For tools that calibrate a network: decoding and resizing stay imgrec's.",
      .run = run_model_tensors};
}

}  // namespace imgrec
