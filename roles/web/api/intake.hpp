// What a client sent: the images of a request, whatever its form, checked at the door.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"
#include "lib/job/job.hpp"
#include "roles/web/api/json_images.hpp"

namespace imgrec {

/// How a compatibility route words its answer. The form's field decides.
enum class Dialect {
  label,       // 2021, field "myfile": the label
  stem_label,  // 2026, field "inputFile": "stem:label"
};

struct ReceivedImage {
  std::string name;            // the client's, exactly; empty when it gave none
  ByteView bytes;              // into Intake::body; of a reference, to_json() of it
  std::optional<Error> error;  // why it is refused
  std::optional<ObjectReference> object = {};
};

struct Intake {
  std::shared_ptr<const std::string> body;
  std::vector<ReceivedImage> images;  // at least one
  Dialect dialect = Dialect::label;
  bool is_list = false;  // answered by a list, also when it has one image
  ClassifyOptions options;
};

/// Takes the body out of the request: multipart/form-data (every part with a file name, an image/… type or an image's
/// first bytes; only those of the fields "myfile" or "inputFile" when there are any), application/json
/// (json_images.hpp) or a raw image. Options in JSON count before those of the query. Errors (invalid): "no_image",
/// "too_many_images", and those of parse_multipart, parse_json_images and parse_options.
Result<Intake> take_images(Request& request, const WebConfig& web, const ImageConfig& image);

/// What the first look at an image's bytes finds: nothing, or invalid "image_empty", "image_too_large",
/// "unsupported_format".
std::optional<Error> check_image(ByteView bytes, const ImageConfig& image);

/// Whether a reference may be followed: nothing, or invalid "bad_object_reference", denied "bucket_not_allowed".
std::optional<Error> check_reference(const ObjectReference& object, const ImageConfig& image);

/// The name of an image that its client gave none: the last part of the object's key.
std::string name_of(const ObjectReference& object);

struct Preferences {
  bool respond_async = false;
  std::optional<Seconds> wait;
};
/// Prefer (RFC 7240); what is not understood is ignored, as it says.
Preferences parse_prefer(const Request& request);

/// ?top_k= ?min_score= ?model= ?thumbnail=. Errors (invalid): "bad_top_k", "bad_min_score", "bad_thumbnail".
Result<ClassifyOptions> parse_options(const Request& request);

/// The traceparent header if it has the form of W3C Trace Context, version 00; else empty.
std::string traceparent_of(const Request& request);

bool wants_json(const Request& request);

}  // namespace imgrec
