#include "roles/web/jobs/job_lookup.hpp"

#include <utility>

#include "lib/base/log.hpp"
#include "roles/web/jobs/job_state.hpp"

namespace imgrec {
namespace {

constexpr Millis kLookUpTimeout{10'000};

JobResult cancelled_result(const JobLookup::Cancellation& what, WallTime now) {
  JobResult result;
  result.job = what.job;
  result.session = what.session;
  result.owner = what.owner;
  result.name = what.name;
  result.error = JobError{.code = std::string(kCancelledCode),
                          .title = "Cancelled",
                          .detail = "A client cancelled this job before it had a result.",
                          .retryable = false};
  result.completed_at = now;
  return result;
}

// The owner that is part of an image's key; see input_key().
OwnerId owner_in(const ObjectKey& key) {
  const std::size_t dot = key.str().rfind('.');
  return dot == std::string::npos ? OwnerId() : OwnerId(key.str().substr(dot + 1));
}

}  // namespace

CallLimits JobLookup::limits() const {
  return {Deadline::in(ports_.clock, kLookUpTimeout), ports_.abort};
}

Result<std::optional<JobResult>> read_result(ObjectStore& outputs, const JobId& job, const CallLimits& limits) {
  const auto document = outputs.get(result_key(job), kResultBytesMax, limits);
  if (!document && document.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!document) return fail(document.error());
  auto result = parse_job_result(document->bytes);
  if (!result) return fail(result.error());
  return *std::move(result);
}

Result<std::optional<JobResult>> JobLookup::stored_result(const JobId& job) {
  return read_result(ports_.outputs, job, limits());
}

Result<std::optional<JobLookup::Found>> JobLookup::find(const JobId& job, const JobClient& client) {
  auto result = stored_result(job);
  if (!result) return fail(result.error());
  if (*result) {
    if (!client.sees_all && !may_see(client.owner, (*result)->owner)) return std::nullopt;
    OwnerId owner = (*result)->owner;
    return Found{.result = *std::move(result), .owner = std::move(owner)};
  }
  if (const auto owner = ports_.router.owner_of(job)) {
    if (!client.sees_all && !may_see(client.owner, *owner)) return std::nullopt;
    return Found{.result = {}, .owner = *owner};
  }
  const auto owner = find_image(job, client);
  if (!owner) return fail(owner.error());
  if (!*owner) return std::nullopt;
  return Found{.result = {}, .owner = **owner};
}

// Whose the job is whose image is in the store; nothing when none is that this client may ask for.
Result<std::optional<OwnerId>> JobLookup::find_image(const JobId& job, const JobClient& client) {
  if (client.sees_all) {
    const auto page = ports_.inputs.list(input_key(job).str(), "", 1, limits());
    if (!page) return fail(page.error());
    if (page->objects.empty()) return std::nullopt;
    return owner_in(page->objects[0].key);
  }
  for (const OwnerId& owner : {client.owner, OwnerId()}) {
    const auto image = ports_.inputs.head(input_key(job, owner), limits());
    if (image) return owner;
    if (image.error().kind != ErrorKind::not_found) return fail(image.error());
    if (owner.empty()) break;
  }
  return std::nullopt;
}

Result<JobResult> JobLookup::cancel(const Cancellation& what) {
  const JobId& job = what.job;
  JobResult cancelled = cancelled_result(what, ports_.clock.wall_now());
  const PutOptions options{.only_if_absent = true, .content_type = "application/json"};
  const auto put = ports_.outputs.put(result_key(job), to_json(cancelled), options, limits());
  if (!put) return fail(put.error());
  if (*put != PutOutcome::stored) {
    auto first = stored_result(job);
    if (!first) return fail(first.error());
    if (!*first) return fail(ErrorKind::transient, "result_contended", "The result of this job changes right now.");
    if (state_of(**first) != JobState::cancelled) return **std::move(first);
    cancelled = **std::move(first);  // by an earlier call, which may not have come to its end
  }
  // From here on it is cancelled. A worker that has the image already finds the result when it stores its own.
  const ObjectKey image = input_key(job, what.owner);
  if (const auto removed = ports_.inputs.remove({&image, 1}, limits()); !removed) {
    log::warning("cannot remove the image of a cancelled job", {{"job", job}, {"error", describe(removed.error())}});
  }
  ports_.router.cancel(cancelled);
  return cancelled;
}

}  // namespace imgrec
