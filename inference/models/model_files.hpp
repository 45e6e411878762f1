// Inside inference only: what the model store, its download and the model loader share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "inference/models/model_store.hpp"
#include "lib/base/mapped_file.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

constexpr std::uint64_t kWeightsBytesMax = 1024 * kMiB;
constexpr const char* kManifestFile = "model.json";

/// A model known by name. Without mirrors it is prepared offline, by prepare_command.
struct BuiltInModel {
  ModelManifest manifest;
  std::uint64_t bytes = 0;
  std::vector<std::string> mirrors;
  std::string prepare_command;
};

const std::vector<BuiltInModel>& built_in_models();
const BuiltInModel* find_built_in(const std::string& name);

/// [a-z0-9][a-z0-9._-]{0,63}; else invalid "bad_model_name".
Result<void> check_model_name(const std::string& name);

/// Crop, mean and scale are in their ranges and fit the element type; else invalid "bad_preparation".
Result<void> check_preparation(const ModelManifest& manifest);

std::string to_json(const ModelManifest& manifest);
/// Errors: invalid "bad_manifest", naming the member.
Result<ModelManifest> parse_manifest(const std::string& json, const std::filesystem::path& file);

/// "Cannot WHAT PATH: reason.": transient "disk_full" or "file_unwritable", denied "file_unwritable".
std::unexpected<Error> file_error(const std::string& what, const std::filesystem::path& path,
                                  const std::error_code& error);

/// Syncs a file or folder.
Result<void> make_durable(const std::filesystem::path& path);

/// not_found "no_such_model" for a known model that is not installed: says how to get it.
Error not_installed(const ModelEntry& entry);

/// A file of the model, if its SHA-256 is the manifest's. Errors: as read_file(); invalid "model_damaged" with both
/// digests.
Result<MappedFile> map_verified(const ModelEntry& entry, const VariantFile& file);

/// ModelStore::pull() for any model with mirrors.
Result<ModelEntry> pull_model(const BuiltInModel& model, const std::filesystem::path& folder, HttpClient& http,
                              const PullProgress& progress, std::stop_token stop);

/// A folder beside the models that becomes FOLDER/NAME at once, or is gone.
class StagedModel {
 public:
  static Result<StagedModel> make(const std::filesystem::path& folder);
  StagedModel(StagedModel&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  StagedModel& operator=(StagedModel&&) = delete;
  ~StagedModel();
  const std::filesystem::path& path() const { return path_; }
  /// Writes the manifest, makes all of it durable, and takes the place of the model of that name, if there is one.
  Result<ModelEntry> install(const ModelManifest& manifest);

 private:
  explicit StagedModel(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace imgrec
