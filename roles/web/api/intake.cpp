#include "roles/web/api/intake.hpp"

#include <algorithm>
#include <charconv>

#include "lib/base/text.hpp"
#include "lib/http/syntax/multipart.hpp"
#include "lib/job/image_type.hpp"
#include "lib/ports/object_reader.hpp"

namespace imgrec {
namespace {

constexpr Seconds kWaitMax{86'400};

std::string in_mib(std::uint64_t bytes) {
  return bytes % kMiB == 0 ? std::to_string(bytes / kMiB) + " MiB" : std::to_string(bytes) + " bytes";
}

bool is_field(const FormPart& part, std::string_view lower_case_name) {
  return to_lower(part.name) == lower_case_name;
}

bool is_image_part(const FormPart& part) {
  if (part.error) return true;  // its client is told
  // A form's file field left empty arrives as a part with an empty name and no bytes: not an image.
  if (part.body.empty() && (!part.filename || part.filename->empty())) return false;
  return part.filename || to_lower(part.content_type).starts_with("image/") || sniff_image_type(part.body);
}

std::optional<std::string_view> parameter(std::string_view header, std::string_view name) {
  for (const std::string_view piece : split(header, ';')) {
    const std::string_view text = trim(piece);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || to_lower(trim(text.substr(0, equals))) != name) continue;
    std::string_view value = trim(text.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return std::nullopt;
}

std::string raw_name(const Request& request) {
  for (const std::string_view key : {"name", "filename"}) {
    if (const auto value = request.query_value(key)) return std::string(*value);
  }
  if (const auto disposition = request.header("content-disposition")) {
    if (auto value = disposition_filename(*disposition)) return *std::move(value);
  }
  return {};
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<Intake> from_form(Intake intake, std::string_view content_type, const WebConfig& web) {
  // Twice the images: a form may carry other fields besides.
  const auto limit = 2 * static_cast<std::size_t>(web.images_per_request_max) + 16;
  auto parts = parse_multipart(content_type, *intake.body, {.parts_max = limit});
  if (!parts) return fail(parts.error());
  std::erase_if(*parts, [](const FormPart& part) { return !is_image_part(part); });
  const bool has_2021 = std::ranges::any_of(*parts, [](const FormPart& part) { return is_field(part, "myfile"); });
  const bool has_2026 = std::ranges::any_of(*parts, [](const FormPart& part) { return is_field(part, "inputfile"); });
  if (has_2021 || has_2026) {
    std::erase_if(*parts, [&](const FormPart& part) { return !is_field(part, has_2021 ? "myfile" : "inputfile"); });
  }
  intake.dialect = has_2026 && !has_2021 ? Dialect::stem_label : Dialect::label;
  for (FormPart& part : *parts) {
    intake.images.push_back(
        {.name = std::move(part.filename).value_or(""), .bytes = part.body, .error = std::move(part.error)});
  }
  return intake;
}

bool is_json(std::string_view content_type) {
  const std::string type = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  return type == "application/json";
}

Result<Intake> from_json(Intake intake, std::size_t images_max, std::shared_ptr<void> memory) {
  auto taken = parse_json_images(*intake.body, images_max);
  if (!taken) return fail(taken.error());
  // What is decoded is smaller than the body, whose share of the memory it keeps.
  struct Held {
    std::string bytes;
    std::shared_ptr<void> memory;
  };
  const auto held = std::make_shared<const Held>(std::move(taken->bytes), std::move(memory));
  intake.body = {held, &held->bytes};
  intake.is_list = taken->is_list;
  intake.options = std::move(taken->options);
  for (JsonImage& image : taken->images) {
    if (image.object && image.name.empty()) image.name = name_of(*image.object);
    intake.images.push_back({.name = std::move(image.name),
                             .bytes = ByteView(*intake.body).substr(image.offset, image.size),
                             .error = std::move(image.error),
                             .object = std::move(image.object)});
  }
  return intake;
}

}  // namespace

std::optional<Error> check_image(ByteView bytes, const ImageConfig& image) {
  if (bytes.empty()) return Error{ErrorKind::invalid, "image_empty", "The image has no bytes; was the file empty?"};
  if (bytes.size() > image.bytes_max) {
    return Error{ErrorKind::invalid, "image_too_large",
                 "The image has " + std::to_string(bytes.size()) + " bytes; at most " + in_mib(image.bytes_max) +
                     " are accepted. Send a smaller copy."};
  }
  if (!sniff_image_type(bytes)) {
    return Error{ErrorKind::invalid, "unsupported_format", unknown_format_message(bytes)};
  }
  return std::nullopt;
}

std::optional<Error> check_reference(const ObjectReference& object, const ImageConfig& image) {
  if (auto checked = check_object_reference(object); !checked) return checked.error();
  if (has_bucket(image.object_buckets, object.bucket)) return std::nullopt;
  return Error{ErrorKind::denied, "bucket_not_allowed",
               "This service reads no objects of this bucket. Send the image's bytes, or have the bucket named in the "
               "setting image.object_buckets."};
}

std::string name_of(const ObjectReference& object) {
  const std::string& key = object.key.str();
  return key.substr(key.rfind('/') + 1);
}

Result<Intake> take_images(Request& request, const WebConfig& web, const ImageConfig& image) {
  const std::string content_type(request.header("content-type").value_or(""));
  Intake intake;
  // Its memory counts as used until the last image is stored.
  struct Held {
    std::string body;
    std::shared_ptr<void> memory;
  };
  const auto held = std::make_shared<const Held>(std::move(request.body), std::move(request.memory));
  intake.body = {held, &held->body};
  auto options = parse_options(request);
  if (!options) return fail(options.error());
  intake.options = *std::move(options);
  if (to_lower(trim(content_type)).starts_with("multipart/")) {
    auto form = from_form(std::move(intake), content_type, web);
    if (!form) return form;
    intake = *std::move(form);
  } else if (is_json(content_type)) {
    const ClassifyOptions of_query = intake.options;
    auto json = from_json(std::move(intake), static_cast<std::size_t>(web.images_per_request_max), held->memory);
    if (!json) return json;
    intake = *std::move(json);
    if (!intake.options.top_k) intake.options.top_k = of_query.top_k;
    if (!intake.options.min_score) intake.options.min_score = of_query.min_score;
    if (!intake.options.model) intake.options.model = of_query.model;
    if (!intake.options.thumbnail) intake.options.thumbnail = of_query.thumbnail;
  } else if (!intake.body->empty()) {
    intake.images.push_back({.name = raw_name(request), .bytes = *intake.body, .error = {}});
  }
  if (intake.images.empty()) {
    return fail(ErrorKind::invalid, "no_image",
                "There is no image in the request. Send multipart/form-data with a file in the field \"myfile\" or "
                "\"inputFile\" (or any other), the image itself as the body, or JSON with \"images\".");
  }
  if (std::ssize(intake.images) > web.images_per_request_max) {
    return fail(ErrorKind::invalid, "too_many_images",
                "The request has " + std::to_string(intake.images.size()) + " images; at most " +
                    std::to_string(web.images_per_request_max) + " are accepted. Send several requests.");
  }
  for (ReceivedImage& received : intake.images) {
    if (received.error) continue;
    received.error = received.object ? check_reference(*received.object, image) : check_image(received.bytes, image);
  }
  return intake;
}

Preferences parse_prefer(const Request& request) {
  Preferences preferences;
  for (const auto& [name, value] : request.headers) {
    if (name != "prefer") continue;
    for (const std::string_view piece : split(value, ',')) {
      const std::string_view preference = trim(piece);
      if (to_lower(trim(preference.substr(0, preference.find(';')))) == "respond-async")
        preferences.respond_async = true;
      const auto wait = parameter(preference, "wait");
      const auto seconds = wait ? parse_number<std::uint32_t>(*wait) : std::nullopt;
      // The first of several counts (RFC 7240, section 2).
      if (seconds && !preferences.wait) preferences.wait = std::min<Seconds>(Seconds(*seconds), kWaitMax);
    }
  }
  return preferences;
}

Result<ClassifyOptions> parse_options(const Request& request) {
  ClassifyOptions options;
  if (const auto text = request.query_value("top_k")) {
    const auto top_k = check_top_k(parse_number<int>(*text));
    if (!top_k) return fail(top_k.error());
    options.top_k = *top_k;
  }
  if (const auto text = request.query_value("min_score")) {
    const auto min_score = check_min_score(parse_number<double>(*text));
    if (!min_score) return fail(min_score.error());
    options.min_score = *min_score;
  }
  if (const auto text = request.query_value("model")) options.model = *text;
  if (const auto text = request.query_value("thumbnail")) {
    const auto thumbnail = check_thumbnail(parse_number<int>(*text));
    if (!thumbnail) return fail(thumbnail.error());
    options.thumbnail = *thumbnail;
  }
  return options;
}

std::string traceparent_of(const Request& request) {
  const auto header = request.header("traceparent");
  // 00-<32 hex: trace>-<16 hex: parent>-<2 hex: flags>
  constexpr std::string_view kForm = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  if (!header || header->size() != kForm.size()) return {};
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const char byte = (*header)[i];
    const bool is_hex = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
    if (kForm[i] == 'x' ? !is_hex : byte != kForm[i]) return {};
  }
  return std::string(*header);
}

bool wants_json(const Request& request) {
  const auto accept = request.header("accept");
  return accept && to_lower(*accept).find("application/json") != std::string::npos;
}

}  // namespace imgrec
