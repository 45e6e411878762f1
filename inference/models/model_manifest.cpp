#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "inference/models/model_files.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHexDigits = "0123456789abcdef";

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

bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of(kHexDigits) == std::string::npos;
}

double part_of(const Json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_number() || !(found->get<double>() >= 0 && found->get<double>() <= 1))
    throw std::runtime_error(std::string("\"") + name + "\" is no number from 0 to 1");
  return found->get<double>();
}

// Three numbers, in the order of the network's channels.
std::array<double, 3> colours_of(const Json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_array() || found->size() != 3)
    throw std::runtime_error(std::string("\"") + name + "\" is no list of three numbers");
  std::array<double, 3> numbers{};
  for (std::size_t c = 0; c < 3; ++c) {
    if (!(*found)[c].is_number()) throw std::runtime_error(std::string("\"") + name + "\" lists what is no number");
    numbers[c] = (*found)[c].get<double>();
  }
  return numbers;
}

// What few models have: each member may be absent.
void read_preparation(const Json& document, ModelManifest& manifest) {
  if (const auto crop = document.find("crop"); crop != document.end()) {
    if (!crop->is_number()) throw std::runtime_error("\"crop\" is no number");
    manifest.crop = crop->get<double>();
  }
  if (document.contains("mean") || document.contains("scale"))
    manifest.scaling = ColourScaling{.mean = colours_of(document, "mean"), .scale = colours_of(document, "scale")};
  const auto one_of = [&document](const char* name, auto& value, auto first, auto second) {
    if (!document.contains(name)) return;
    const std::string text = text_of(document, name);
    if (text != to_string(first) && text != to_string(second)) {
      throw std::runtime_error(std::string("\"") + name + "\" is neither " + std::string(to_string(first)) + " nor " +
                               std::string(to_string(second)));
    }
    value = text == to_string(first) ? first : second;
  };
  one_of("channels", manifest.channels, ChannelOrder::rgb, ChannelOrder::bgr);
  one_of("layout", manifest.layout, Layout::nchw, Layout::nhwc);
  one_of("element", manifest.element, ElementType::float32, ElementType::uint8);
  if (document.contains("output_name")) manifest.output_name = text_of(document, "output_name");
  if (const auto ok = check_preparation(manifest); !ok) throw std::runtime_error(ok.error().message);
}

Json json_of(const std::array<double, 3>& numbers) {
  return {numbers[0], numbers[1], numbers[2]};
}

// Only what is not as usual: manifests of most models stay as short as they were.
void add_preparation(Json& document, const ModelManifest& manifest) {
  const ModelManifest usual;
  if (manifest.crop != usual.crop) document["crop"] = manifest.crop;
  if (manifest.scaling) {
    document["mean"] = json_of(manifest.scaling->mean);
    document["scale"] = json_of(manifest.scaling->scale);
  }
  if (manifest.channels != usual.channels) document["channels"] = to_string(manifest.channels);
  if (manifest.layout != usual.layout) document["layout"] = to_string(manifest.layout);
  if (manifest.element != usual.element) document["element"] = to_string(manifest.element);
  if (!manifest.output_name.empty()) document["output_name"] = manifest.output_name;
}

Agreement agreement_of(const Json& document) {
  if (!document.is_object()) throw std::runtime_error("\"agreement\" is no JSON object");
  const auto photos = document.find("photos");
  if (photos == document.end() || !photos->is_number_integer() || *photos < 1 || *photos > 1'000'000'000)
    throw std::runtime_error("\"photos\" is no number of photos");
  return {.top1 = part_of(document, "top1"),
          .top5_overlap = part_of(document, "top5_overlap"),
          .score_error = part_of(document, "score_error"),
          .photos = photos->get<int>(),
          .arithmetic = document.contains("arithmetic") ? text_of(document, "arithmetic") : ""};
}

std::vector<VariantFile> variant_files_of(const Json& document) {
  std::vector<VariantFile> files;
  const auto found = document.find("files");
  if (found == document.end()) return files;
  if (!found->is_array() || found->size() > 2) throw std::runtime_error("\"files\" is no list of up to two files");
  for (const Json& file : *found) {
    if (!file.is_object()) throw std::runtime_error("\"files\" has to list objects");
    files.push_back({.file = text_of(file, "file"), .sha256 = text_of(file, "sha256")});
    if (!is_plain_file_name(files.back().file))
      throw std::runtime_error("a variant's files have to be names in the model's folder");
    if (!is_digest(files.back().sha256)) throw std::runtime_error("a variant's \"sha256\" is no digest");
  }
  return files;
}

ModelVariant variant_of(const Json& document) {
  if (!document.is_object()) throw std::runtime_error("\"variants\" has to list objects");
  ModelVariant variant;
  const auto precision = parse_precision(text_of(document, "precision"));
  if (!precision || *precision == Precision::f32)
    throw std::runtime_error("a variant's \"precision\" is neither bf16 nor int8");
  variant.precision = *precision;
  variant.files = variant_files_of(document);
  const bool is_ir =
      variant.files.size() == 2 && variant.files[0].file.ends_with(".xml") && variant.files[1].file.ends_with(".bin");
  if (variant.precision == Precision::int8 && !is_ir)
    throw std::runtime_error("the int8 variant's files have to be a .xml and a .bin, in this order");
  if (variant.precision == Precision::bf16 && !variant.files.empty())
    throw std::runtime_error("the bf16 variant has no files: it is computed from the model's");
  if (const auto found = document.find("agreement"); found != document.end()) variant.agreement = agreement_of(*found);
  if (const auto found = document.find("time_ratio"); found != document.end()) {
    if (!found->is_number() || !(found->get<double>() > 0 && found->get<double>() <= 1000))
      throw std::runtime_error("\"time_ratio\" is no number from 0 to 1000");
    variant.time_ratio = found->get<double>();
  }
  if (document.contains("made_by")) variant.made_by = text_of(document, "made_by");
  return variant;
}

// No two files of a folder have one name.
void check_variants(const ModelManifest& manifest) {
  std::set<Precision> precisions;
  std::set<std::string> names = {manifest.file, manifest.labels, kManifestFile};
  for (const ModelVariant& variant : manifest.variants) {
    if (!precisions.insert(variant.precision).second)
      throw std::runtime_error("there are two variants in " + std::string(to_string(variant.precision)));
    for (const VariantFile& file : variant.files) {
      if (!names.insert(file.file).second) throw std::runtime_error("two of its files are called " + file.file);
    }
  }
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
  if (!is_digest(manifest.sha256)) throw std::runtime_error("\"sha256\" is no digest");
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
  read_preparation(document, manifest);
  if (const auto variants = document.find("variants"); variants != document.end()) {
    if (!variants->is_array()) throw std::runtime_error("\"variants\" is no list");
    for (const Json& variant : *variants) manifest.variants.push_back(variant_of(variant));
    check_variants(manifest);
  }
  return manifest;
}

Json json_of(const ModelVariant& variant) {
  Json json{{"precision", to_string(variant.precision)}};
  for (const VariantFile& file : variant.files) {
    json["files"].push_back({{"file", file.file}, {"sha256", file.sha256}});
  }
  if (const auto& agreement = variant.agreement) {
    json["agreement"] = {{"top1", agreement->top1},
                         {"top5_overlap", agreement->top5_overlap},
                         {"score_error", agreement->score_error},
                         {"photos", agreement->photos}};
    if (!agreement->arithmetic.empty()) json["agreement"]["arithmetic"] = agreement->arithmetic;
  }
  if (variant.time_ratio) json["time_ratio"] = *variant.time_ratio;
  json["made_by"] = variant.made_by;
  return json;
}

}  // namespace

std::string_view to_string(PreprocessProfile profile) {
  switch (profile) {
    case PreprocessProfile::imagenet: return "imagenet";
    case PreprocessProfile::tf: return "tf";
    case PreprocessProfile::zero_one: return "zero-one";
    case PreprocessProfile::raw: return "raw";
    case PreprocessProfile::as_is: return "as-is";
  }
  return "imagenet";
}

std::string_view to_string(ChannelOrder order) {
  return order == ChannelOrder::rgb ? "rgb" : "bgr";
}

std::string_view to_string(Layout layout) {
  return layout == Layout::nchw ? "nchw" : "nhwc";
}

std::string_view to_string(ElementType element) {
  return element == ElementType::float32 ? "float32" : "uint8";
}

std::string_view to_string(OutputKind kind) {
  return kind == OutputKind::logits ? "logits" : "probabilities";
}

Result<PreprocessProfile> parse_preprocess_profile(std::string_view text) {
  for (const auto profile : {PreprocessProfile::imagenet, PreprocessProfile::tf, PreprocessProfile::zero_one,
                             PreprocessProfile::raw, PreprocessProfile::as_is}) {
    if (text == to_string(profile)) return profile;
  }
  return fail(
      ErrorKind::invalid, "bad_profile",
      "There is no preprocessing profile " + json_quote(text) + "; there are imagenet, tf, zero-one, raw and as-is.");
}

std::string_view to_string(Precision precision) {
  switch (precision) {
    case Precision::f32: return "f32";
    case Precision::bf16: return "bf16";
    case Precision::int8: return "int8";
  }
  return "f32";
}

Result<Precision> parse_precision(std::string_view text) {
  for (const auto precision : {Precision::f32, Precision::bf16, Precision::int8}) {
    if (text == to_string(precision)) return precision;
  }
  return fail(ErrorKind::invalid, "bad_precision",
              "There is no precision " + json_quote(text) + "; there are f32, bf16 and int8.");
}

const ModelVariant* ModelManifest::variant(Precision precision) const {
  const auto found = std::ranges::find(variants, precision, &ModelVariant::precision);
  return found == variants.end() ? nullptr : &*found;
}

Result<void> check_preparation(const ModelManifest& manifest) {
  const auto wrong = [](const char* text) { return fail(ErrorKind::invalid, "bad_preparation", text); };
  if (!(manifest.crop >= 0.1 && manifest.crop <= 1)) {
    return wrong("the crop has to be a part of the resized image, from 0.1 to 1 (0.875 keeps 224 of 256 pixels)");
  }
  if (!manifest.scaling) return {};
  if (manifest.element == ElementType::uint8) {
    return wrong("a uint8 input takes the values 0 to 255 as they are: there is no mean and no scale to apply");
  }
  for (const double mean : manifest.scaling->mean) {
    if (!(std::abs(mean) <= 1e6)) return wrong("a mean has to be a number from -1e6 to 1e6");
  }
  for (const double scale : manifest.scaling->scale) {
    if (!(std::abs(scale) >= 1e-6 && std::abs(scale) <= 1e6)) {
      return wrong("a scale has to be a number from 1e-6 to 1e6: values are divided by it");
    }
  }
  return {};
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
  Json document{{"name", manifest.name},
                {"file", manifest.file},
                {"sha256", manifest.sha256},
                {"licence", manifest.licence},
                {"source", manifest.source},
                {"input_size", manifest.input_size},
                {"profile", to_string(manifest.profile)},
                {"output", to_string(manifest.output)},
                {"labels", manifest.labels}};
  add_preparation(document, manifest);
  for (const ModelVariant& variant : manifest.variants) document["variants"].push_back(json_of(variant));
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
