// What is known of a model: how it is fed, what it answers, and which files it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec {

/// How an image becomes the network's input.
enum class PreprocessProfile {
  imagenet,  // shorter side to 256 (antialiased), centre crop 224, /255, minus mean, by standard deviation
  tf,        // the same resize and crop, x/127.5 - 1
  as_is,     // no resize, no crop, RGB/255: the network takes the image's own size
};
std::string_view to_string(PreprocessProfile profile);  // "imagenet", "tf", "as-is"
Result<PreprocessProfile> parse_preprocess_profile(std::string_view text);

enum class OutputKind { logits, probabilities };

/// In which numbers a network computes.
enum class Precision { f32, bf16, int8 };
std::string_view to_string(Precision precision);           // "f32", "bf16", "int8"
Result<Precision> parse_precision(std::string_view text);  // invalid "bad_precision"

/// How far a variant's answers are those of the model in f32, measured on photos it was not calibrated with.
struct Agreement {
  double top1 = 0;          // part of the photos with the same best label
  double top5_overlap = 0;  // mean part of the five best labels that both have
  double score_error = 0;   // mean difference of the best label's score
  int photos = 0;
  std::string arithmetic{};  // in which the variant was computed (lib/base/cpu.hpp); empty: not recorded
};

struct VariantFile {
  std::string file;  // beside the manifest
  std::string sha256;
};

/// The same model in another precision. int8 has files of its own, an OpenVINO IR: the graph (.xml), then its weights
/// (.bin). bf16 is computed from the model's own file: a variant without files that holds what was measured.
struct ModelVariant {
  Precision precision = Precision::int8;
  std::vector<VariantFile> files{};
  std::optional<Agreement> agreement{};
  std::optional<double> time_ratio{};  // time of an image over that in f32, where it was made: which variant is faster
  std::string made_by{};               // tool and version
};

struct ModelManifest {
  std::string name;  // [a-z0-9][a-z0-9._-]{0,63}
  std::string file;  // of the weights, beside the manifest
  std::string sha256;
  std::string licence;   // SPDX id or a few words
  std::string source;    // where it came from
  int input_size = 224;  // pixels a side after the crop; not used by as-is
  PreprocessProfile profile = PreprocessProfile::imagenet;
  OutputKind output = OutputKind::logits;
  std::string labels = "imagenet-1k";    // or the file of class names beside the manifest
  std::vector<ModelVariant> variants{};  // at most one of each precision

  /// Null when there is none.
  const ModelVariant* variant(Precision precision) const;
};

}  // namespace imgrec
