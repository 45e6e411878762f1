#include "roles/web/api/json_images.hpp"

#include <simdjson.h>

#include <utility>

#include "lib/base/base64.hpp"

namespace imgrec {
namespace {

namespace dom = simdjson::dom;

std::unexpected<Error> bad_json(std::string message) {
  return fail(ErrorKind::invalid, "bad_json", std::move(message));
}

Result<ObjectReference> take_reference(dom::element value) {
  dom::object object;
  std::string_view bucket, key, version;
  if (value.get(object) != simdjson::SUCCESS || object["bucket"].get(bucket) != simdjson::SUCCESS ||
      object["key"].get(key) != simdjson::SUCCESS) {
    return bad_json("The \"object\" of an image is an object with the texts \"bucket\" and \"key\".");
  }
  const auto member = object["version"];
  if (member.error() != simdjson::NO_SUCH_FIELD && member.get(version) != simdjson::SUCCESS) {
    return bad_json("The \"version\" of an object is a text.");
  }
  return ObjectReference{
      .bucket = std::string(bucket), .key = ObjectKey(std::string(key)), .version = std::string(version)};
}

Result<void> take_image(dom::element item, JsonImages& taken) {
  dom::object object;
  if (item.get(object) != simdjson::SUCCESS)
    return bad_json("An image is an object with a member \"content\" or \"object\".");
  JsonImage image{.name = {}, .offset = taken.bytes.size(), .size = 0, .object = {}, .error = {}};
  std::string_view text;
  if (const auto name = object["name"]; name.error() != simdjson::NO_SUCH_FIELD) {
    if (name.get(text) != simdjson::SUCCESS) return bad_json("The \"name\" of an image is a text.");
    image.name = text;
  }
  const bool has_content = object["content"].error() != simdjson::NO_SUCH_FIELD;
  if (auto named = object["object"]; named.error() != simdjson::NO_SUCH_FIELD) {
    if (has_content) return bad_json("An image has \"content\" or \"object\", and not both.");
    auto reference = take_reference(named.value_unsafe());
    if (!reference) return fail(reference.error());
    const std::string document = to_json(*reference);
    taken.bytes += document;
    image.size = document.size();
    image.object = *std::move(reference);
    taken.images.push_back(std::move(image));
    return {};
  }
  if (object["content"].get(text) != simdjson::SUCCESS) {
    return bad_json(
        "An image needs \"content\", its bytes as base64 text, or \"object\", the bucket and key where it lies.");
  }
  if (const auto bytes = base64_decode(text)) {
    taken.bytes += *bytes;
    image.size = bytes->size();
  } else {
    image.error = bytes.error();
  }
  taken.images.push_back(std::move(image));
  return {};
}

// Nothing for what is no whole number that an int holds.
std::optional<int> whole_number(const simdjson::simdjson_result<dom::element>& member) {
  std::int64_t number = 0;
  if (member.get(number) != simdjson::SUCCESS || !std::in_range<int>(number)) return std::nullopt;
  return static_cast<int>(number);
}

Result<ClassifyOptions> take_options(dom::object document) {
  ClassifyOptions options;
  if (const auto member = document["top_k"]; member.error() != simdjson::NO_SUCH_FIELD) {
    const auto top_k = check_top_k(whole_number(member));
    if (!top_k) return fail(top_k.error());
    options.top_k = *top_k;
  }
  if (const auto member = document["thumbnail"]; member.error() != simdjson::NO_SUCH_FIELD) {
    const auto thumbnail = check_thumbnail(whole_number(member));
    if (!thumbnail) return fail(thumbnail.error());
    options.thumbnail = *thumbnail;
  }
  if (const auto member = document["min_score"]; member.error() != simdjson::NO_SUCH_FIELD) {
    double number = 0;
    const bool is_number = member.get(number) == simdjson::SUCCESS;
    const auto min_score = check_min_score(is_number ? std::optional(number) : std::nullopt);
    if (!min_score) return fail(min_score.error());
    options.min_score = *min_score;
  }
  if (const auto member = document["model"]; member.error() != simdjson::NO_SUCH_FIELD) {
    std::string_view name;
    if (member.get(name) != simdjson::SUCCESS) return bad_json("\"model\" is a text.");
    options.model = name;
  }
  return options;
}

}  // namespace

Result<int> check_top_k(std::optional<int> top_k) {
  if (top_k && *top_k >= 1 && *top_k <= kTopKMax) return *top_k;
  return fail(ErrorKind::invalid, "bad_top_k", "top_k is a whole number from 1 to " + std::to_string(kTopKMax) + ".");
}

Result<int> check_thumbnail(std::optional<int> side) {
  if (side && *side >= kThumbnailMin && *side <= kThumbnailMax) return *side;
  return fail(ErrorKind::invalid, "bad_thumbnail",
              "thumbnail is a whole number of pixels from " + std::to_string(kThumbnailMin) + " to " +
                  std::to_string(kThumbnailMax) + ".");
}

Result<double> check_min_score(std::optional<double> min_score) {
  if (min_score && *min_score >= 0 && *min_score <= 1) return *min_score;
  return fail(ErrorKind::invalid, "bad_min_score", "min_score is a number from 0 to 1.");
}

Result<JsonImages> parse_json_images(std::string_view body, std::size_t images_max) {
  dom::parser parser;
  dom::object document;
  const auto parsed = parser.parse(body.data(), body.size());
  if (parsed.error() != simdjson::SUCCESS) {
    return bad_json("The body is no JSON: " + std::string(simdjson::error_message(parsed.error())));
  }
  if (parsed.get(document) != simdjson::SUCCESS) return bad_json("The body is JSON, but no object.");
  JsonImages taken;
  auto options = take_options(document);
  if (!options) return fail(options.error());
  taken.options = *std::move(options);
  const auto images = document["images"];
  if (images.error() == simdjson::NO_SUCH_FIELD) {
    if (auto one = take_image(parsed.value_unsafe(), taken); !one) return fail(one.error());
    return taken;
  }
  dom::array list;
  if (images.get(list) != simdjson::SUCCESS)
    return bad_json("\"images\" is a list of objects with \"content\" or \"object\".");
  if (list.size() > images_max) {
    return fail(ErrorKind::invalid, "too_many_images",
                "The request has more than " + std::to_string(images_max) +
                    " images, which is the most that is accepted. Send several requests.");
  }
  taken.is_list = true;
  for (const dom::element item : list) {
    if (auto one = take_image(item, taken); !one) return fail(one.error());
  }
  return taken;
}

}  // namespace imgrec
