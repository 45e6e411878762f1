// What is known of a model: how it is fed, what it answers, and which files it is.
#pragma once

#include <array>
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
  zero_one,  // the same resize and crop, x/255
  raw,       // the same resize and crop, 0 to 255 as they are
  as_is,     // no resize, no crop, RGB/255: the network takes the image's own size
};
std::string_view to_string(PreprocessProfile profile);  // "imagenet", "tf", "zero-one", "raw", "as-is"
Result<PreprocessProfile> parse_preprocess_profile(std::string_view text);

/// What a network gets for a pixel's value of 0 to 255: (value - mean) / scale, in the order of the network's channels.
struct ColourScaling {
  std::array<double, 3> mean{}, scale{1, 1, 1};
};

enum class ChannelOrder { rgb, bgr };
std::string_view to_string(ChannelOrder order);  // "rgb", "bgr"

/// Of a network's input: planes (channels first), or pixels (channels last), as networks from TensorFlow have it.
enum class Layout { nchw, nhwc };
std::string_view to_string(Layout layout);  // "nchw", "nhwc"

/// Of a network's input. uint8: the values 0 to 255 as they are, which the network scales itself.
enum class ElementType { float32, uint8 };
std::string_view to_string(ElementType element);  // "float32", "uint8"

enum class OutputKind { logits, probabilities };
std::string_view to_string(OutputKind kind);  // "logits", "probabilities"

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
  double crop = 0.875;                         // part of the resized image's shorter side that the crop keeps
  std::optional<ColourScaling> scaling{};      // in the place of the profile's
  ChannelOrder channels = ChannelOrder::rgb;   // in which the network takes colours
  Layout layout = Layout::nchw;                // as the model's file declares
  ElementType element = ElementType::float32;  // as the model's file declares
  std::string output_name{};                   // which of several outputs answers; empty: the first
  OutputKind output = OutputKind::logits;
  std::string labels = "imagenet-1k";    // or the file of class names beside the manifest
  std::vector<ModelVariant> variants{};  // at most one of each precision

  /// Null when there is none.
  const ModelVariant* variant(Precision precision) const;
};

}  // namespace imgrec
