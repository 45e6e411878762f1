// A variant of an installed model on its way into the model's folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "inference/models/agreement.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/file.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

struct NewVariant {
  Precision precision = Precision::int8;
  std::filesystem::path graph{};  // int8: the IR's .xml; its .bin lies beside it. bf16: empty
  std::string made_by{};
};

/// Photos that an agreement has to be measured on, at least.
constexpr int kAgreementPhotosMin = 16;

/// Holds a folder of models in which the model has the variant already, without any agreement: an engine can be loaded
/// from there and measured, while the installed model stays as it is. The folder is gone with the object; what a killed
/// process left is removed by the next one. One at a time for each model, also across processes.
class StagedVariant {
 public:
  /// Errors: those of reading the files; invalid "bad_variant" (f32; int8 without a graph; bf16 with one); transient
  /// "model_busy", when another process is at it; as write_file_atomic().
  static Result<StagedVariant> make(const ModelEntry& entry, const NewVariant& variant);
  StagedVariant(StagedVariant&&) noexcept = default;
  StagedVariant& operator=(StagedVariant&&) = delete;
  ~StagedVariant();

  /// To be given as model_dir to load_model().
  const std::filesystem::path& models() const { return models_; }

  /// Puts the variant into the installed model, in the place of one of the same precision. The manifest is written last
  /// and at once: a crash before it leaves the model as it was. `arithmetic`: what it was measured in. Errors: invalid
  /// "agreement_too_low" (says the figures) and "too_few_photos"; invalid "model_changed", when another model took its
  /// place meanwhile; as write_file_atomic().
  Result<ModelEntry> publish(const AgreementMeter& measured, double agreement_min, std::string_view arithmetic);

 private:
  StagedVariant(ModelEntry entry, std::filesystem::path models, Fd lock)
      : entry_(std::move(entry)), models_(std::move(models)), lock_(std::move(lock)) {}
  Result<void> fill(const NewVariant& variant);

  ModelEntry entry_;  // the installed one
  ModelVariant variant_;
  std::filesystem::path models_;
  Fd lock_;  // on models_
};

}  // namespace imgrec
