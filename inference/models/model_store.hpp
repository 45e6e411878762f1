// Models on disk: a folder per model with its weights and a small manifest (model.json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "inference/models/model_manifest.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec {

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
  std::optional<int> input_size{};         // pixels a side; without it as the file declares, else 224
  std::optional<double> crop{};            // part of the resized image's shorter side; without it 0.875
  std::optional<ColourScaling> scaling{};  // in the place of the profile's
  ChannelOrder channels = ChannelOrder::rgb;
  std::filesystem::path labels{};  // empty: ImageNet-1k
  std::string licence = "unknown";
  std::string output_name{};           // of several; empty: the one with a number for each class
  std::optional<OutputKind> output{};  // without it: recognised
  bool replace = false;                // an installed model of that name stays unless this is set
};

/// Says whether the bytes of a model are what the manifest says, and can be run; what they declare themselves is added
/// to the manifest.
using ImportCheck = std::function<Result<ModelManifest>(const std::string& weights, ModelManifest manifest,
                                                        const ImportOptions& options)>;

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

  /// Installs a file that passes the check (nothing is checked when there is none). A file of a built-in name must have
  /// its SHA-256. Errors: those of the check; invalid "bad_model_name", "model_exists", "wrong_checksum"; those of
  /// reading and writing files.
  Result<ModelEntry> import(const ImportOptions& options, const ImportCheck& check);

  /// Reads the weights and the variants' files again. Errors: invalid "model_damaged" with both digests.
  Result<void> verify(const ModelEntry& entry) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace imgrec
