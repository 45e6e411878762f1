// Models on disk: a folder per model with its weights and a small manifest (model.json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/http_client.hpp"

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

struct ModelEntry {
  ModelManifest manifest;
  std::filesystem::path folder;  // empty while it is not installed
  bool built_in = false;         // known by name: can be pulled (or prepared offline)
  std::filesystem::path weights() const { return folder / manifest.file; }
};

struct ImportOptions {
  std::filesystem::path file;  // ONNX
  std::string name;
  PreprocessProfile profile = PreprocessProfile::imagenet;
  std::filesystem::path labels{};  // empty: ImageNet-1k
  std::string licence = "unknown";
  OutputKind output = OutputKind::logits;
  bool replace = false;  // an installed model of that name stays unless this is set
};

/// bytes so far, bytes in all (0: unknown).
using PullProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Thread-compatible; several processes may use one folder (writes are atomic).
class ModelStore {
 public:
  explicit ModelStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Installed and built-in models by name.
  Result<std::vector<ModelEntry>> list() const;

  /// Errors: not_found "no_such_model" (names the nearest); a built-in one that is not installed is found with an empty
  /// folder.
  Result<ModelEntry> find(const std::string& name) const;

  /// Downloads a built-in model: mirrors in order, resumed where it stopped, SHA-256 checked, installed atomically.
  /// Already installed and intact: nothing is fetched. Errors: not_found "no_such_model"; transient
  /// "mirrors_unreachable" (lists each with its cause); invalid "wrong_checksum"; invalid "prepared_offline" for models
  /// that a script converts.
  Result<ModelEntry> pull(const std::string& name, HttpClient& http, const PullProgress& progress,
                          std::stop_token stop);

  /// Checks that an engine can load and run it before it is installed. A file of a built-in name must have its SHA-256.
  Result<ModelEntry> import(const ImportOptions& options);

  /// Reads the weights and the variants' files again. Errors: invalid "model_damaged" with both digests.
  Result<void> verify(const ModelEntry& entry) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace imgrec
