#include "roles/web/api/jobs.hpp"

#include <algorithm>

#include "lib/base/json_writer.hpp"
#include "lib/base/log.hpp"
#include "roles/web/access/owner.hpp"
#include "roles/web/api/answers.hpp"
#include "roles/web/api/intake.hpp"
#include "roles/web/api/list_limit.hpp"

namespace imgrec {
namespace {

// What exactly failed is for the log: it may name buckets and accounts.
Error unavailable(const Error& error) {
  log::warning("cannot look up jobs", {{"error", describe(error)}});
  return {ErrorKind::transient, error.code,
          "The service cannot look that up at the moment. Ask again later; the server's log says what is wrong."};
}

std::unexpected<Error> bad(std::string_view parameter, std::string message) {
  return fail(ErrorKind::invalid, "bad_" + std::string(parameter), std::move(message));
}

// Adds members to the object in the answer's body.
Response with_members(Response response, const std::string& members) {
  if (const std::size_t end = response.body.rfind('}'); end != std::string::npos) response.body.insert(end, members);
  return response;
}

std::string state_member(JobState state) {
  return ",\"state\":" + json_quote(to_string(state));
}

Response ended(const JobResult& result, const Request& request) {
  return with_members(stored_document_response(result, request), state_member(state_of(result)));
}

JobClient client_of(const Exchange& exchange) {
  return {.owner = make_owner_id(exchange.owner()), .sees_all = exchange.caller.sees_all()};
}

Result<JobList::Query> parse_query(const Exchange& exchange) {
  const Request& request = exchange.request;
  JobList::Query query{.owner = make_owner_id(exchange.owner()), .state = {}, .limit = 0, .before = {}};
  if (const auto text = request.query_value("session")) {
    const auto session = parse_session_id(*text);
    if (!session) return bad("session", session.error().message);
    query.owner = make_owner_id(owner_of(*session, exchange.caller));
  }
  if (query.owner.empty()) {
    return fail(ErrorKind::invalid, "no_session",
                "Whose jobs? Name your session in X-Session-Id or ?session=, as when the images were sent.");
  }
  if (const auto text = request.query_value("state")) {
    query.state = parse_job_state(*text);
    if (!query.state) return bad("state", "state is queued, running, done, failed, cancelled or expired.");
  }
  const auto limit = list_limit(request);
  if (!limit) return fail(limit.error());
  query.limit = *limit;
  if (const auto text = request.query_value("cursor")) {
    const auto before = parse_job_id(*text);
    if (!before) return bad("cursor", "cursor is what \"next\" of the page before says.");
    query.before = *before;
  }
  return query;
}

std::string jobs_page_json(const JobList::Page& page) {
  JsonWriter json;
  json.begin_object().begin_list("jobs");
  for (const ListedJob& job : page.jobs) {
    json.begin_object().member("job", job.job.str()).member("name", job.name);
    json.member("state", to_string(job.state)).member("submitted_at", to_rfc3339(time_of(job.job)));
    if (job.end) {
      json.member("completed_at", to_rfc3339(job.end->completed_at));
      if (job.end->error_code.empty()) {
        json.member("label", job.end->label).member("score", job.end->score);
      } else {
        json.begin_object("error").member("code", job.end->error_code).member("title", job.end->error_title);
        json.end_object();
      }
    }
    json.member("location", job_location(job.job)).end_object();
  }
  json.end_list();
  if (page.next) json.member("next", page.next->str());
  return json.end_object().finish() + "\n";
}

}  // namespace

// Its message went to the dead letters or was lost: a worker would have ended it as expired.
bool JobHandler::is_overdue(const JobId& job) const {
  return ports_.clock.wall_now() - time_of(job) > settings_.web.job_ttl;
}

std::optional<JobHandler::Named> JobHandler::find(Exchange& exchange) {
  const Error unknown{ErrorKind::not_found, "unknown_job", "There is no job of this id."};
  const auto job = parse_job_id(exchange.route.parameter("job", exchange.request.path));
  if (!job) {
    exchange.send_error(unknown);
    return std::nullopt;
  }
  exchange.reply.concerns(*job);
  auto found = jobs_.lookup.find(*job, client_of(exchange));
  if (!found) {
    exchange.send_error(unavailable(found.error()));
    return std::nullopt;
  }
  if (!*found) {
    exchange.send_error(unknown);
    return std::nullopt;
  }
  return Named{.job = *job, .found = **std::move(found)};
}

void JobHandler::get(Exchange exchange) {
  const auto named = find(exchange);
  if (!named) return;
  if (named->found.result) return exchange.send(ended(*named->found.result, exchange.request));
  if (is_overdue(named->job)) {
    const Error expired{ErrorKind::transient, "expired",
                        "No worker answered this job in its time (web.job_ttl). Send the image again."};
    return exchange.send(
        with_members(error_response(exchange.form, expired, exchange.request.id), state_member(JobState::expired)));
  }
  const auto wait = parse_prefer(exchange.request).wait;
  if (!wait || *wait == Seconds(0)) return exchange.send(pending(named->job));
  await(named->job, std::min<Millis>(*wait, settings_.web.wait_max), std::move(exchange));
}

Response JobHandler::pending(const JobId& job) {
  const QueuePlace place = jobs_.list.place(job);
  std::string members = state_member(place.state) + ",\"submitted_at\":" + json_quote(to_rfc3339(time_of(job)));
  if (place.place) members += ",\"place_about\":" + std::to_string(*place.place);
  if (place.queue_depth) members += ",\"queue_depth_about\":" + std::to_string(*place.queue_depth);
  if (const auto workers = jobs_.workers.look()) {
    JsonWriter json;
    json.begin_object().member("running", workers->running).member("starting", workers->starting);
    if (workers->boot_s) json.member("starting_takes_s_about", *workers->boot_s);
    members += ",\"workers\":" + json.end_object().finish();
  }
  return with_members(pending_response(job), members);
}

void JobHandler::await(const JobId& job, Millis wait, Exchange exchange) {
  std::vector<ImageSlot> slots(1);
  slots[0].job = job;
  slots[0].queued = true;
  const auto client = exchange.client;
  const PendingRequest::Options options{.deadline = ports_.clock.mono_now() + wait, .accept_at_deadline = true};
  auto waiting = std::make_shared<PendingRequest>(
      std::move(slots), options,
      [this, job, held = std::move(exchange)](const PendingRequest* self, WaitEnd how,
                                              std::vector<ImageSlot> ended_slots) mutable {
        router_.forget(self);
        if (how == WaitEnd::left) return held.reply.send_to_nobody();
        const ImageSlot& slot = ended_slots[0];
        if (slot.refused) return held.send_error(*slot.refused);
        // This thread keeps the clients' time, so it reads no depth.
        held.send(slot.result ? ended(*slot.result, held.request)
                              : with_members(pending_response(job), state_member(JobState::queued)));
      });
  router_.watch(waiting);
  router_.await(job, waiting, 0);
  client->attach(waiting);
  // It may have been answered between the first look and now.
  if (auto result = jobs_.lookup.stored_result(job); result && *result) waiting->answer(0, **std::move(result));
}

void JobHandler::cancel(Exchange exchange) {
  const auto named = find(exchange);
  if (!named) return;
  Result<JobResult> result =
      named->found.result
          ? Result<JobResult>(*named->found.result)
          : jobs_.lookup.cancel({.job = named->job,
                                 .owner = named->found.owner,
                                 .session = exchange.owner().value_or(SessionId("unknown")),
                                 .name = jobs_.list.find_name(named->found.owner, named->job).value_or("")});
  if (!result) return exchange.send_error(unavailable(result.error()));
  if (state_of(*result) == JobState::cancelled) return exchange.send(ended(*result, exchange.request));
  const Error late{ErrorKind::invalid, "too_late",
                   "The job has ended (" + std::string(to_string(state_of(*result))) +
                       "); it can be cancelled only before it has a result."};
  exchange.send(with_members(error_response(exchange.form, late, exchange.request.id),
                             state_member(state_of(*result)) + ",\"job\":" + json_quote(named->job.str())));
}

void JobHandler::list(Exchange exchange) {
  const auto query = parse_query(exchange);
  if (!query) return exchange.send_error(query.error());
  const auto page = jobs_.list.list(*query);
  if (!page) return exchange.send_error(unavailable(page.error()));
  exchange.send(json_response(jobs_page_json(*page)));
}

}  // namespace imgrec
