#include "roles/web/api/jobs.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/log.hpp"
#include "roles/web/api/intake.hpp"

namespace imgrec {
namespace {

constexpr Millis kCallTimeout{10'000};

// What exactly failed is for the log: it may name buckets and accounts.
Error unavailable(const JobId& job, const Error& error) {
  log::warning("cannot look up a job", {{"job", job}, {"error", describe(error)}});
  return {ErrorKind::transient, error.code,
          "The service cannot look up the job at the moment. Ask again later; the server's log says what is wrong."};
}

}  // namespace

CallLimits JobHandler::limits() const {
  return {Deadline::in(ports_.clock, kCallTimeout), abort_};
}

Result<std::optional<JobResult>> JobHandler::stored_result(const JobId& job) {
  const auto document = ports_.outputs.get(result_key(job), kResultBytesMax, limits());
  if (!document && document.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!document) return fail(document.error());
  auto result = parse_job_result(document->bytes);
  if (!result) return fail(result.error());
  return *std::move(result);
}

// Its message went to the dead letters or was lost: a worker would have ended it as expired.
bool JobHandler::is_overdue(const JobId& job) const {
  return ports_.clock.wall_now() - time_of(job) > settings_.web.job_ttl;
}

void JobHandler::handle(Exchange exchange) {
  const Error unknown{ErrorKind::not_found, "unknown_job", "There is no job of this id."};
  const auto job = parse_job_id(exchange.route.parameter("job", exchange.request.path));
  if (!job) return exchange.send_error(unknown);
  exchange.reply.concerns(*job);
  const auto result = stored_result(*job);
  if (!result) return exchange.send_error(unavailable(*job, result.error()));
  if (*result) return exchange.send(stored_document_response(**result, exchange.request));
  if (!router_.expects(*job)) {
    const auto input = ports_.inputs.head(input_key(*job), limits());
    if (!input && input.error().kind == ErrorKind::not_found) return exchange.send_error(unknown);
    if (!input) return exchange.send_error(unavailable(*job, input.error()));
  }
  if (is_overdue(*job)) {
    return exchange.send_error({ErrorKind::transient, "expired",
                                "No worker answered this job in its time (web.job_ttl). Send the image again."});
  }
  const auto wait = parse_prefer(exchange.request).wait;
  if (!wait || *wait == Seconds(0)) return exchange.send(pending_response(*job));
  await(*job, std::min<Millis>(*wait, settings_.web.wait_max), std::move(exchange));
}

void JobHandler::await(const JobId& job, Millis wait, Exchange exchange) {
  std::vector<ImageSlot> slots(1);
  slots[0].job = job;
  slots[0].queued = true;
  const auto client = exchange.client;
  const PendingRequest::Options options{.deadline = ports_.clock.mono_now() + wait, .accept_at_deadline = true};
  auto pending = std::make_shared<PendingRequest>(
      std::move(slots), options,
      [this, job, held = std::move(exchange)](const PendingRequest* self, WaitEnd how,
                                              std::vector<ImageSlot> ended) mutable {
        router_.forget(self);
        if (how == WaitEnd::left) return held.reply.send_to_nobody();
        const ImageSlot& slot = ended[0];
        if (slot.refused) return held.send_error(*slot.refused);
        held.send(slot.result ? stored_document_response(*slot.result, held.request) : pending_response(job));
      });
  router_.watch(pending);
  router_.await(job, pending, 0);
  client->attach(pending);
  // It may have been answered between the first look and now.
  if (auto result = stored_result(job); result && *result) pending->answer(0, **std::move(result));
}

}  // namespace imgrec
