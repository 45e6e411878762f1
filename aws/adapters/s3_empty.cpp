#include "aws/adapters/s3_empty.hpp"

#include <algorithm>
#include <vector>

#include "aws/adapters/s3_bucket.hpp"
#include "aws/client/uri.hpp"
#include "aws/client/wire/xml.hpp"

namespace imgrec::aws {
namespace {

// Encoded as in a form, where '+' is a space, if the service says that it did as asked.
std::string key_of(const XmlElement& entry, bool is_encoded) {
  std::string text = entry.value("Key");
  if (!is_encoded) return text;
  std::ranges::replace(text, '+', ' ');
  return uri_decode(text);
}

// The first page of what is there. Nothing: there is no such bucket.
Result<std::optional<std::vector<ObjectVersion>>> first_versions(Session& session, const Endpoint& endpoint,
                                                                 const CallLimits& limits) {
  CallRequest request = bucket_call("ListObjectVersions", "GET", endpoint);
  request.query = {{"versions", ""}, {"encoding-type", "url"}, {"max-keys", std::to_string(kPageMax)}};
  XmlElement document;
  const auto got =
      session.caller("s3").call(expect_document(request, "ListVersionsResult", document), limits.deadline, limits.stop);
  if (!got && got.error().aws_code == "NoSuchBucket") return std::nullopt;
  if (!got) return fail(got.error().error);
  const bool is_encoded = document.value("EncodingType") == "url";
  std::vector<ObjectVersion> out;
  for (const char* kind : {"Version", "DeleteMarker"}) {
    for (const XmlElement* entry : document.all(kind))
      out.push_back({key_of(*entry, is_encoded), entry->value("VersionId")});
  }
  return out;
}

Result<void> remove_versions(Session& session, const Endpoint& endpoint, const std::vector<ObjectVersion>& versions,
                             const CallLimits& limits) {
  CallRequest request = delete_objects_call(endpoint, versions);
  XmlElement document;
  const auto got =
      session.caller("s3").call(expect_document(request, "DeleteResult", document), limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  if (const XmlElement* entry = document.child("Error")) {
    // The status of each is not told: what the table of errors does not know may pass.
    return fail(classify(request.name, 500,
                         {.code = entry->value("Code"), .message = entry->value("Message"), .request_id = {}})
                    .error);
  }
  return {};
}

}  // namespace

Result<std::uint64_t> empty_s3_bucket(Session& session, const std::string& bucket,
                                      const std::function<void(std::uint64_t removed)>& on_page,
                                      const CallLimits& limits) {
  const auto endpoint = bucket_endpoint(session.endpoints(), bucket);
  if (!endpoint) return fail(endpoint.error());
  std::uint64_t removed = 0;
  ObjectVersion last;
  while (true) {
    if (auto checked = limits.check(session.clock()); !checked) return fail(checked.error());
    const CallLimits call = limits.at_most(session.clock(), Millis(120'000));
    const auto versions = first_versions(session, *endpoint, call);
    if (!versions) return fail(versions.error());
    if (!*versions || (*versions)->empty()) return removed;
    if ((*versions)->front() == last) {
      return fail(ErrorKind::transient, "not_removed",
                  "S3 still has " + last.key + " in " + bucket + " after it was deleted: try again later.");
    }
    last = (*versions)->front();
    if (auto done = remove_versions(session, *endpoint, **versions, call); !done) return fail(done.error());
    removed += (*versions)->size();
    on_page(removed);
  }
}

}  // namespace imgrec::aws
