#include "roles/worker/named_results.hpp"

#include "lib/base/log.hpp"
#include "lib/job/image_type.hpp"

namespace imgrec {
namespace {

constexpr int kKeysMax = 1000;  // as many images of one name as fit into a millisecond

std::string content_type_of(ByteView image) {
  const auto type = sniff_image_type(image);
  return std::string(type ? media_type(*type) : "application/octet-stream");
}

}  // namespace

// Where two images may have the same time and name, the second takes the next microsecond. An object with the same
// bytes is this image's own, of an earlier delivery, or says the same.
Result<void> NamedResults::store(const JobRequest& request, const JobResult& result, ByteView image,
                                 const std::stop_token& stop) {
  const std::string pair = wants_image() ? std::string() : pair_json(result);
  const ByteView bytes = wants_image() ? image : ByteView(pair);
  const bool may_meet = keys_may_meet(results_);
  const PutOptions options{.only_if_absent = may_meet,
                           .content_type = wants_image() ? content_type_of(image) : "application/json"};
  for (int later = 0; later < kKeysMax; ++later) {
    const ObjectKey key = named_result_key(results_, request, result, later);
    if (auto checked = check_object_key(key.str()); !checked) {
      log::error("a result has no object of its own beside its document",
                 {{"job", request.job}, {"key", key.str()}, {"error", describe(checked.error())}});
      return {};
    }
    const auto put = ports_.storing.call(
        stop, [&](const CallLimits& limits) { return ports_.outputs.put(key, bytes, options, limits); });
    if (!put) return fail(put.error());
    if (*put == PutOutcome::stored) return {};
    const auto same = is_there(key, bytes, stop);
    if (!same) return fail(same.error());
    if (*same) return {};
  }
  log::error("a result has no object of its own beside its document: too many images have this name and time",
             {{"job", request.job}});
  return {};
}

Result<bool> NamedResults::is_there(const ObjectKey& key, ByteView bytes, const std::stop_token& stop) {
  const auto stored = ports_.reading.call(
      stop, [&](const CallLimits& limits) { return ports_.outputs.get(key, bytes.size(), limits); });
  if (stored) return stored->bytes == bytes;
  // Another object is longer; one that was removed meanwhile leaves its place to the next.
  if (stored.error().code == "object_too_large" || stored.error().kind == ErrorKind::not_found) return false;
  return fail(stored.error());
}

}  // namespace imgrec
