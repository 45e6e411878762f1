#include "inference/models/labels.hpp"

#include <string_view>

#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

extern const std::string_view kImagenet1kTsv;  // labels/imagenet1k.tsv, made into a source file by CMake

namespace {

constexpr std::uint64_t kLabelFileBytesMax = 8 * kMiB;
constexpr std::string_view kImagenet = "imagenet-1k";

std::unexpected<Error> bad_labels(const std::string& text) {
  return fail(ErrorKind::invalid, "bad_labels", text);
}

}  // namespace

std::vector<ClassName> imagenet_class_names(ImagenetNames which) {
  std::vector<ClassName> classes;
  classes.reserve(1000);
  for (const std::string_view line : split(kImagenet1kTsv, '\n')) {
    if (line.empty() || line.front() == '#') continue;
    const auto columns = split(line, '\t');  // index, wnid, name, reference name; a test checks all of them
    classes.push_back({std::string(columns[1]), std::string(columns[which == ImagenetNames::names ? 2 : 3])});
  }
  return classes;
}

Result<std::vector<std::string>> read_label_file(const std::filesystem::path& file) {
  const auto bytes = read_file(file, kLabelFileBytesMax);
  if (!bytes) return fail(bytes.error());
  if (!is_valid_utf8(*bytes)) return bad_labels("The label file " + file.string() + " is no UTF-8 text.");
  std::vector<std::string> names;
  for (const std::string_view line : split(*bytes, '\n')) names.emplace_back(trim(line));
  if (names.back().empty()) names.pop_back();  // after the last line's end
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty())
      return bad_labels("Line " + std::to_string(i + 1) + " of the label file " + file.string() + " is empty.");
  }
  if (names.empty()) return bad_labels("The label file " + file.string() + " is empty.");
  return names;
}

Result<std::vector<ClassName>> class_names_for(const std::string& labels, const std::string& model_labels,
                                               const std::filesystem::path& model_folder) {
  const bool is_imagenet = model_labels == kImagenet;
  if (labels == "reference") {
    if (!is_imagenet)
      return bad_labels("--labels reference is for models with ImageNet's classes; this one has its own.");
    return imagenet_class_names(ImagenetNames::reference);
  }
  if (labels == "names" && is_imagenet) return imagenet_class_names(ImagenetNames::names);
  const auto names = read_label_file(labels == "names" ? model_folder / model_labels : std::filesystem::path(labels));
  if (!names) {
    return bad_labels("Cannot use the labels: " + names.error().message +
                      " Give names, reference, or a file with one name per line.");
  }
  // Other names for ImageNet's classes keep their WordNet ids.
  std::vector<ClassName> classes = is_imagenet ? imagenet_class_names(ImagenetNames::names) : std::vector<ClassName>();
  if (classes.size() != names->size()) classes.assign(names->size(), {});
  for (std::size_t i = 0; i < names->size(); ++i) classes[i].name = (*names)[i];
  return classes;
}

}  // namespace imgrec
