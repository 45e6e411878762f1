#include "roles/web/jobs/idempotency.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lib/base/digest.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

constexpr Millis kRecordTimeout{10'000};
constexpr std::uint64_t kRecordBytesMax = 256 * kKiB;
constexpr int kTriesMax = 3;  // while others make, replace or remove the record too

ObjectKey key_of(const OwnerId& owner, std::string_view key) {
  return ObjectKey("idempotency/" + hex_of(view(sha256({owner.str(), "\n", key}))));
}

std::string to_json(const IdempotencyRecord& record) {
  JsonWriter json;
  json.begin_object().member("v", 1).member("digest", record.digest).member("at", to_rfc3339(record.at));
  json.begin_list("jobs");
  for (const JobId& job : record.jobs) json.element(job.str());
  return json.end_list().end_object().finish();
}

// Nothing where it cannot be read: then it is replaced. Errors: transient "other_version".
Result<std::optional<IdempotencyRecord>> parse(std::string_view text) try {
  const auto document = nlohmann::json::parse(text);
  if (document.at("v") != 1) return other_version("record of this Idempotency-Key");
  IdempotencyRecord record;
  const auto at = parse_rfc3339(document.at("at").get<std::string>());
  if (!at) return std::nullopt;
  record.at = *at;
  record.digest = document.at("digest").get<std::string>();
  for (const auto& entry : document.at("jobs")) {
    const std::string job = entry.get<std::string>();
    if (!job.empty() && !parse_job_id(job)) return std::nullopt;
    record.jobs.emplace_back(job);
  }
  return record;
} catch (const std::exception&) {
  return std::nullopt;
}

}  // namespace

Result<void> check_idempotency_key(std::string_view key) {
  const bool printable = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7F'; });
  if (!key.empty() && key.size() <= kIdempotencyKeyMax && printable) return {};
  return fail(ErrorKind::invalid, "bad_idempotency_key",
              "Idempotency-Key has 1 to 255 printable ASCII characters and no spaces; a UUID is a good one.");
}

Result<Idempotency::Claim> Idempotency::claim(const OwnerId& owner, std::string_view key,
                                              const IdempotencyRecord& mine) {
  const ObjectKey object = key_of(owner, key);
  const CallLimits limits{Deadline::in(ports_.clock, kRecordTimeout), ports_.abort};
  PutOptions options{.only_if_absent = true, .content_type = "application/json"};
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const auto put = ports_.store.put(object, to_json(mine), options, limits);
    if (!put) return fail(put.error());
    if (*put == PutOutcome::stored) return Claim{.is_new = true, .record = mine};
    options = {.only_if_absent = true, .content_type = "application/json"};
    const auto stored = ports_.store.get(object, kRecordBytesMax, limits);
    if (!stored && stored.error().kind == ErrorKind::not_found) continue;
    if (!stored) return fail(stored.error());
    const auto parsed = parse(stored->bytes);
    if (!parsed) return fail(parsed.error());
    const auto& record = *parsed;
    if (record && *record == mine) return Claim{.is_new = true, .record = mine};  // the answer to its put was lost
    if (record && ports_.clock.wall_now() - record->at < kIdempotencyKept) {
      if (record->digest == mine.digest && record->jobs.size() == mine.jobs.size()) {
        return Claim{.is_new = false, .record = *record};
      }
      return fail(
          ErrorKind::invalid, "idempotency_key_reused",
          "This Idempotency-Key was sent with another request, within 24 hours. Each request needs a key of its "
          "own; only the same request sent again has the same.");
    }
    options = {.if_match = stored->version,
               .content_type = "application/json"};  // too old: this request takes its place
  }
  return fail(ErrorKind::transient, "idempotency_contended",
              "Other requests with this Idempotency-Key come at the same time. Send it again.");
}

}  // namespace imgrec
