// What travels through the queues and lies in the result store: the wire contracts, version 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// "v" of the documents that this build reads and writes.
constexpr int kJobVersion = 1;

/// Pixels of a thumbnail's longer side that may be asked for.
constexpr int kThumbnailMin = 16, kThumbnailMax = 256;

using OwnerId = Id<struct OwnerIdTag>;  // who may ask for a job; 32 hex digits, or empty: whoever knows the job's id

/// Whether a client that is `client` may ask for the jobs of `owner`.
inline bool may_see(const OwnerId& client, const OwnerId& owner) {
  return owner.empty() || client == owner;
}

struct Label {
  int index = 0;      // class number of the model's output
  std::string wnid;   // WordNet id ("n02437312"); empty for models with other classes
  std::string label;  // name for people ("dromedary")
  double score = 0;   // probability, 0 to 1
  bool operator==(const Label&) const = default;
};

struct JobInput {
  std::string bucket;  // name of the store; "inputs" on one machine
  ObjectKey key;
  std::uint64_t bytes = 0;
  std::string sha256;  // hex; the worker refuses other bytes
  bool operator==(const JobInput&) const = default;
};

/// An image in a bucket that is not the service's own: it is only ever read.
struct ObjectReference {
  std::string bucket;
  ObjectKey key;
  std::string version;  // S3's VersionId; empty: the latest
  bool operator==(const ObjectReference&) const = default;
};

/// The request message. A JobId, not a file name or a digest, is the identity of an image.
struct JobRequest {
  JobId job;
  SessionId session;
  OwnerId owner{};   // roles/web/access/owner.hpp
  std::string name;  // the client's file name: data, returned exactly, never part of a key or a path
  JobInput input;
  /// The image is this object. `input` is then to_json() of it, stored as an image is: so long as it is there, somebody
  /// waits for the job.
  std::optional<ObjectReference> object{};
  int top_k = 5;
  int thumbnail = 0;        // pixels of the longer side of the small picture that is wanted with the labels; 0: none
  std::string reply_to;     // name of the response queue
  std::string traceparent;  // W3C trace context; empty: none
  WallTime submitted_at{};
  WallTime expires_at{};  // nobody waits for it any more after this
  bool operator==(const JobRequest&) const = default;
};

struct ModelInfo {
  std::string name;       // "resnet18"
  std::string sha256;     // of the weights
  std::string engine;     // "opencv"
  std::string precision;  // "f32"
  bool operator==(const ModelInfo&) const = default;
};

struct StageTimings {
  double queue_ms = 0, fetch_ms = 0, decode_ms = 0, preprocess_ms = 0, infer_ms = 0, store_ms = 0;
  bool operator==(const StageTimings&) const = default;
};

/// Why an image has no labels. `code` is an Error's code ("image_truncated"); `retryable` tells whether sending the
/// same image again may help.
struct JobError {
  std::string code, title, detail;
  bool retryable = false;
  bool operator==(const JobError&) const = default;
};

/// The result document, also the response message. Exactly one of labels (not empty) and error is there.
struct JobResult {
  JobId job;
  SessionId session;
  OwnerId owner{};  // as the request says
  std::string name;
  ModelInfo model;
  std::vector<Label> labels;  // best first
  std::string thumbnail{};    // base64 of a JPEG; empty: none was asked for, or none could be made
  std::optional<JobError> error;
  StageTimings timings;
  WorkerId worker;
  std::string app_tier_id;  // the instance the worker runs on ("app-tier-1")
  WallTime completed_at{};
  bool operator==(const JobResult&) const = default;
};

/// One line of JSON. Names that are no valid UTF-8 travel with U+FFFD in place of the bad bytes.
std::string to_json(const ObjectReference& object);
std::string to_json(const JobRequest& request);
std::string to_json(const JobResult& result);

/// Unknown members are ignored (a newer writer); a missing or mistyped one is ErrorKind::invalid, "bad_request_message"
/// / "bad_result_document", and names the member. Another "v" is transient "other_version" (lib/job/other_version.hpp),
/// whatever else the document has.
Result<JobRequest> parse_job_request(std::string_view json);
Result<JobResult> parse_job_result(std::string_view json);

/// To whom a request message belongs: enough to answer it with an error when parse_job_request refuses it.
struct ReplyAddress {
  JobId job;
  SessionId session;     // "unknown" when the message has no valid one
  OwnerId owner{};       // empty when the message has no valid one
  std::string name;      // empty when the message has none
  std::string reply_to;  // not empty
};
/// Nothing when the message has no valid job or no reply_to.
std::optional<ReplyAddress> find_reply_address(std::string_view json);

/// The code of the error that a job ends with when a client cancels it. Nothing replaces such a result.
inline constexpr std::string_view kCancelledCode = "cancelled";

/// Where a job's objects lie: "inputs/JOB" or "inputs/JOB.OWNER", "results/JOB.json" and "attempts/JOB.N"
/// (roles/worker/attempts.hpp). The owner is in the image's key so that any web node can tell whose a job is that has
/// no result yet.
ObjectKey input_key(const JobId& job, const OwnerId& owner = {});
ObjectKey result_key(const JobId& job);
ObjectKey attempt_key(const JobId& job, int attempt);

/// 32 lower-case hex digits; else ErrorKind::invalid, "bad_owner_id".
Result<OwnerId> parse_owner_id(std::string_view text);

/// [A-Za-z0-9_-]{1,64}; else ErrorKind::invalid, "bad_session_id".
Result<SessionId> parse_session_id(std::string_view text);

/// The first extension-less part: "a/b/test_0.JPEG" → "test_0"; ".hidden" → ".hidden".
std::string file_stem(std::string_view name);

}  // namespace imgrec
