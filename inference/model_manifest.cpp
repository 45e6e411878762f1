#include <nlohmann/json.hpp>
#include <stdexcept>

#include "inference/model_files.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string_view to_string(OutputKind kind) {
  return kind == OutputKind::logits ? "logits" : "probabilities";
}

std::string text_of(const Json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_string())
    throw std::runtime_error(std::string("\"") + name + "\" is no text");
  return found->get<std::string>();
}

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

ModelManifest manifest_of(const Json& document) {
  if (!document.is_object()) throw std::runtime_error("it is no JSON object");
  ModelManifest manifest;
  manifest.name = text_of(document, "name");
  if (!check_model_name(manifest.name)) throw std::runtime_error("\"name\" is no model name");
  manifest.file = text_of(document, "file");
  manifest.labels = text_of(document, "labels");
  if (!is_plain_file_name(manifest.file) || !is_plain_file_name(manifest.labels)) {
    throw std::runtime_error("\"file\" and \"labels\" have to be names in the model's folder");
  }
  manifest.sha256 = text_of(document, "sha256");
  if (manifest.sha256.size() != 64 || manifest.sha256.find_first_not_of(kHexDigits) != std::string::npos) {
    throw std::runtime_error("\"sha256\" is no digest");
  }
  manifest.licence = text_of(document, "licence");
  manifest.source = text_of(document, "source");
  const auto size = document.find("input_size");
  if (size == document.end() || !size->is_number_integer() || *size < 1 || *size > 2048) {
    throw std::runtime_error("\"input_size\" is no number from 1 to 2048");
  }
  manifest.input_size = size->get<int>();
  const auto profile = parse_preprocess_profile(text_of(document, "profile"));
  if (!profile) throw std::runtime_error("\"profile\": " + profile.error().message);
  manifest.profile = *profile;
  const std::string output = text_of(document, "output");
  if (output != "logits" && output != "probabilities")
    throw std::runtime_error("\"output\" is neither logits nor probabilities");
  manifest.output = output == "logits" ? OutputKind::logits : OutputKind::probabilities;
  return manifest;
}

}  // namespace

std::string_view to_string(PreprocessProfile profile) {
  switch (profile) {
    case PreprocessProfile::imagenet: return "imagenet";
    case PreprocessProfile::tf: return "tf";
    case PreprocessProfile::as_is: return "as-is";
  }
  return "imagenet";
}

Result<PreprocessProfile> parse_preprocess_profile(std::string_view text) {
  for (const auto profile : {PreprocessProfile::imagenet, PreprocessProfile::tf, PreprocessProfile::as_is}) {
    if (text == to_string(profile)) return profile;
  }
  return fail(ErrorKind::invalid, "bad_profile",
              "There is no preprocessing profile " + json_quote(text) + "; there are imagenet, tf and as-is.");
}

Result<void> check_model_name(const std::string& name) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view kOthers = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  if (!name.empty() && name.size() <= 64 && kFirst.find(name.front()) != std::string_view::npos &&
      name.find_first_not_of(kOthers) == std::string::npos) {
    return {};
  }
  return fail(ErrorKind::invalid, "bad_model_name",
              json_quote(name) + " is no model name: 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first.");
}

std::string to_json(const ModelManifest& manifest) {
  const Json document{{"name", manifest.name},
                      {"file", manifest.file},
                      {"sha256", manifest.sha256},
                      {"licence", manifest.licence},
                      {"source", manifest.source},
                      {"input_size", manifest.input_size},
                      {"profile", to_string(manifest.profile)},
                      {"output", to_string(manifest.output)},
                      {"labels", manifest.labels}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ModelManifest> parse_manifest(const std::string& json, const std::filesystem::path& file) try {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) throw std::runtime_error("it is no JSON");
  return manifest_of(document);
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_manifest",
              "The model manifest " + file.string() + " cannot be used: " + error.what() + ".");
}

}  // namespace imgrec
