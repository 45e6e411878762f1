// Names of a model's classes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec {

struct ClassName {
  std::string wnid;  // WordNet id; empty for classes that are not ImageNet's
  std::string name;
};

enum class ImagenetNames { names, reference };

/// The 1000 classes of ImageNet-1k in order, from inference/models/labels/imagenet1k.tsv, which is part of the binary.
std::vector<ClassName> imagenet_class_names(ImagenetNames which);

/// One name per line, in the order of the model's outputs; "\r\n" and a last line without an end are fine.
/// Errors: not_found, denied, transient "file_unreadable"; invalid "bad_labels" (empty file or line, no UTF-8).
Result<std::vector<std::string>> read_label_file(const std::filesystem::path& file);

/// What `--labels` asks for. labels: names, reference, or a file. model_labels: the manifest's (imagenet-1k, or the
/// path of its own file, which `names` means then). Errors: invalid "bad_labels".
Result<std::vector<ClassName>> class_names_for(const std::string& labels, const std::string& model_labels,
                                               const std::filesystem::path& model_folder);

}  // namespace imgrec
