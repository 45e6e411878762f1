#include "roles/worker/fetch_object.hpp"

#include <utility>

#include "lib/base/log.hpp"
#include "lib/ports/object_reader.hpp"

namespace imgrec {

DependencyOptions input_dependency(Millis hold_max) {
  return {.hold_max = hold_max, .is_outage = [](const Error& error) {
            const bool answered =
                error.code == "no_such_object" || error.code == "object_too_large" || error.code == "bad_key";
            return !answered && error.kind != ErrorKind::cancelled;
          }};
}

DependencyOptions object_dependency(Millis hold_max) {
  return {.hold_max = hold_max, .is_outage = [](const Error& error) {
            return error.kind == ErrorKind::transient || error.kind == ErrorKind::throttled;
          }};
}

Result<std::string> fetch_object(const JobContext& context, const JobRequest& request) {
  const ObjectReference& object = *request.object;
  const ImageConfig& limits_of_images = context.settings.image;
  const auto refused = [&](const char* code, std::string detail) {
    return fail(ErrorKind::invalid, code, std::move(detail));
  };
  if (!context.ports.objects || !has_bucket(limits_of_images.object_buckets, object.bucket)) {
    return refused("bucket_not_allowed", "The worker's setting image.object_buckets does not name this bucket.");
  }
  auto bytes = context.objects.call(context.abandon, [&](const CallLimits& limits) {
    return context.ports.objects->read(object, limits_of_images.bytes_max, limits);
  });
  if (bytes) return bytes;
  const Error& error = bytes.error();
  if (error.kind == ErrorKind::not_found) {
    return refused("object_not_found", "There is no such object, or no such version of it, in the bucket.");
  }
  if (error.code == "object_too_large") {
    return refused("image_too_large",
                   "The object has more than " + std::to_string(limits_of_images.bytes_max) + " bytes.");
  }
  if (error.kind != ErrorKind::denied && error.kind != ErrorKind::invalid) return fail(error);
  // What exactly failed is for the log: it may name accounts.
  log::warning("an object that a request refers to cannot be read",
               {{"job", request.job}, {"bucket", object.bucket}, {"error", describe(error)}});
  if (error.kind == ErrorKind::denied) {
    return refused("object_denied", "The workers may not read this object; configs/iam says how they may.");
  }
  return refused(
      "bad_object_reference",
      "The store does not read the object as it is named: its bucket may be in another region, or the version "
      "malformed or of a store without versions.");
}

}  // namespace imgrec
