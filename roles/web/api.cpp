#include "roles/web/api.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "roles/web/page.hpp"
#include "roles/web/routes.hpp"

namespace imgrec {
namespace {

AnswerForm form_for(const Request& request, const Route& route) {
  const bool text = route.compatible && !wants_json(request);
  return {.style = text ? Style::text : Style::json, .held = route.compatible};
}

Response json_response(std::string body) {
  return {.content_type = "application/json", .headers = {{"Cache-Control", "no-store"}}, .body = std::move(body)};
}

std::string session_cookie(const Request& request, const SessionId& session) {
  const bool https = request.header("x-forwarded-proto") == "https";
  return "imgrec_session=" + session.str() + "; Path=/; HttpOnly; SameSite=Lax" + (https ? "; Secure" : "");
}

SessionId make_session(Rng& rng) {
  return SessionId(random_hex(rng, 16));
}

}  // namespace

void Api::handle(Request request, Responder responder) {
  const Route route = find_route(request.method, request.path);
  const bool quiet =
      route.endpoint == Endpoint::healthz || route.endpoint == Endpoint::readyz || route.endpoint == Endpoint::metrics;
  Reply reply({.request = request.id,
               .method = request.method,
               .path = request.path,
               .route = std::string(route.name),
               .received_at = request.received_at,
               .quiet = quiet},
              std::move(responder), ports_.clock, ports_.metrics);
  const AnswerForm form = form_for(request, route);
  if (settings_.known_hosts && !is_known_host(request, *settings_.known_hosts)) {
    return reply.send(
        error_response(form,
                       {ErrorKind::denied, "unknown_host",
                        "This service does not know itself by the name in the Host header, and listens for this "
                        "machine alone. Call it by localhost or an address, or add the name to the setting web.hosts."},
                       request.id));
  }
  if (route.endpoint == Endpoint::none && !route.allowed.empty()) {
    Response response = error_response(
        form, {ErrorKind::invalid, "method_not_allowed", "This path takes " + std::string(route.allowed) + "."},
        request.id);
    response.headers.emplace_back("Allow", route.allowed);
    return reply.send(std::move(response));
  }
  if (route.endpoint == Endpoint::none) {
    return reply.send(
        error_response(form, {ErrorKind::not_found, "not_found", "There is nothing at this path."}, request.id));
  }
  if (request.method == "POST" && !is_same_site(request)) {
    return reply.send(
        error_response(form,
                       {ErrorKind::denied, "other_site",
                        "A page of another site sent this (Origin differs from Host); only this site's own "
                        "page and programs may."},
                       request.id));
  }
  dispatch(std::move(request), std::move(reply));
}

void Api::dispatch(Request request, Reply reply) {
  switch (find_route(request.method, request.path).endpoint) {
    case Endpoint::page: {
      Response response = page_response(*find_page_file(request.path), request);
      if (request.path == "/" && !session_of(request)) {
        response.headers.emplace_back("Set-Cookie", session_cookie(request, make_session(ports_.rng)));
      }
      return reply.send(std::move(response));
    }
    case Endpoint::healthz: return reply.send({.headers = {}, .body = "ok\n"});
    case Endpoint::metrics:
      return reply.send(
          {.content_type = "text/plain; version=0.0.4; charset=utf-8", .headers = {}, .body = ports_.metrics.scrape()});
    case Endpoint::reset:
      if (const auto session = session_of(request)) parts_.results.forget(*session);
      return reply.send(json_response("{\"reset\":true}\n"));
    case Endpoint::results: return post(std::move(request), std::move(reply), &Api::list_results);
    case Endpoint::readyz: return post(std::move(request), std::move(reply), &Api::readiness);
    case Endpoint::v1_job: return post(std::move(request), std::move(reply), &Api::job_status);
    case Endpoint::v1_classify:
    case Endpoint::images: return post(std::move(request), std::move(reply), &Api::receive_images);
    case Endpoint::none: break;
  }
}

void Api::post(Request request, Reply reply, void (Api::*work)(Request&, Reply)) {
  // A task that finds no place is destroyed, and with it the reply, which answers 500.
  parts_.pool.post([this, work, asked = std::move(request), held = std::move(reply)]() mutable {
    (this->*work)(asked, std::move(held));
  });
}

void Api::receive_images(Request& request, Reply reply) {
  const AnswerForm form = form_for(request, find_route(request.method, request.path));
  const auto top_k = parse_top_k(request);
  if (!top_k) return reply.send(error_response(form, top_k.error(), request.id));
  auto intake = take_images(request, settings_.web, settings_.image);
  if (!intake) return reply.send(error_response(form, intake.error(), request.id));
  // The memory counts as taken until the last image is stored.
  auto hold = std::make_shared<std::pair<std::shared_ptr<const std::string>, std::shared_ptr<void>>>(
      intake->body, std::move(request.memory));
  intake->body = {hold, hold->first.get()};
  wait_for_images(request, std::move(reply), *std::move(intake), top_k->value_or(settings_.top_k));
}

PendingRequest::Options Api::wait_options(const Request& request, bool held) const {
  const MonoTime now = ports_.clock.mono_now();
  const Millis longest = settings_.web.wait_max;
  if (held) return {.deadline = now + longest};
  const Preferences prefer = parse_prefer(request);
  const Millis wait = prefer.wait            ? std::min<Millis>(*prefer.wait, longest)
                      : prefer.respond_async ? Millis(0)
                                             : longest;
  return {.deadline = now + wait, .accept_at_deadline = true};
}

void Api::wait_for_images(Request& request, Reply reply, Intake intake, int top_k) {
  const Route route = find_route(request.method, request.path);
  AnswerForm form = form_for(request, route);
  form.dialect = intake.dialect;
  const auto known_session = session_of(request);
  const SessionId session = known_session ? *known_session : make_session(ports_.rng);
  const WallTime now = ports_.clock.wall_now();

  std::vector<ImageSlot> slots;
  std::vector<JobId> jobs;
  for (ReceivedImage& image : intake.images) {
    jobs.push_back(image.error ? JobId() : make_job_id(now, ports_.rng));
    if (!image.error) reply.concerns(jobs.back());
    slots.push_back({.name = image.name, .job = jobs.back(), .result = {}, .refused = image.error});
  }
  // The aliases answer programs that may keep cookies, so that GET /results knows them again.
  std::string cookie_to_set;
  if (route.compatible && route.name != "compat" && !known_session) cookie_to_set = session_cookie(request, session);

  const PendingRequest::Options options = wait_options(request, route.compatible);
  auto pending = std::make_shared<PendingRequest>(
      std::move(slots), options,
      [this, form, cookie_to_set, held = std::move(reply)](const PendingRequest* self, WaitEnd how,
                                                           std::vector<ImageSlot> ended) mutable {
        parts_.router.forget(self);
        count_answers(how, ended);
        Response response = images_response(form, how, ended, held.request());
        if (!cookie_to_set.empty()) response.headers.emplace_back("Set-Cookie", cookie_to_set);
        held.send(std::move(response));
      });
  const JobRequest common{.job = {},
                          .session = session,
                          .name = {},
                          .input = {},
                          .top_k = top_k,
                          .reply_to = ports_.responses_name,
                          .traceparent = traceparent_of(request),
                          .submitted_at = now,
                          .expires_at = now + settings_.web.wait_max};
  upload_all(pending, intake, common, jobs);
}

void Api::upload_all(const std::shared_ptr<PendingRequest>& pending, const Intake& intake, const JobRequest& common,
                     std::span<const JobId> jobs) {
  parts_.router.watch(pending);
  pending->end_if_settled();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const ReceivedImage& image = intake.images[i];
    if (image.error) continue;
    ImageUpload upload{.job = common,
                       .body = intake.body,
                       .bytes = image.bytes,
                       .request = pending,
                       .index = i,
                       .held = !pending->accepts_at_deadline()};
    upload.job.job = jobs[i];
    upload.job.name = image.name;
    upload.job.input = {.bucket = settings_.input_bucket,
                        .key = input_key(jobs[i]),
                        .bytes = image.bytes.size(),
                        .sha256 = sha256_hex(image.bytes)};
    ports_.metrics.counter("imgrec_web_upload_bytes_total", "Bytes of the images taken in.")
        .add(static_cast<double>(image.bytes.size()));
    parts_.uploader.start(std::move(upload));
  }
}

void Api::count_answers(WaitEnd how, const std::vector<ImageSlot>& slots) {
  for (const ImageSlot& slot : slots) {
    const char* outcome = slot.refused                        ? "refused"
                          : slot.result && slot.result->error ? "error"
                          : slot.result                       ? "labels"
                          : how == WaitEnd::accepted          ? "accepted"
                                                              : "unanswered";
    ports_.metrics
        .counter("imgrec_web_answers_total", "Images answered, by what the client was told.", {{"outcome", outcome}})
        .add();
  }
}

Result<std::optional<JobResult>> Api::stored_result(const JobId& job) {
  const auto document = ports_.outputs.get(result_key(job), kResultBytesMax);
  if (!document && document.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!document) return fail(document.error());
  auto result = parse_job_result(document->bytes);
  if (!result) return fail(result.error());
  return *std::move(result);
}

void Api::job_status(Request& request, Reply reply) {
  const AnswerForm form;
  const Error unknown{ErrorKind::not_found, "unknown_job", "There is no job of this id."};
  const auto job = parse_job_id(std::string_view(request.path).substr(kJobsPath.size()));
  if (!job) return reply.send(error_response(form, unknown, request.id));
  reply.concerns(*job);
  const auto result = stored_result(*job);
  if (!result) return reply.send(error_response(form, result.error(), request.id));
  if (*result) return reply.send(document_response(**result));
  if (!parts_.router.expects(*job)) {
    const auto input = ports_.inputs.head(input_key(*job));
    if (!input && input.error().kind == ErrorKind::not_found)
      return reply.send(error_response(form, unknown, request.id));
    if (!input) return reply.send(error_response(form, input.error(), request.id));
  }
  const auto wait = parse_prefer(request).wait;
  if (!wait || *wait == Seconds(0)) return reply.send(pending_response(*job));
  await_job(*job, std::min<Millis>(*wait, settings_.web.wait_max), std::move(reply));
}

void Api::await_job(const JobId& job, Millis wait, Reply reply) {
  std::vector<ImageSlot> slots(1);
  slots[0].job = job;
  slots[0].queued = true;
  auto pending = std::make_shared<PendingRequest>(
      std::move(slots), PendingRequest::Options{.deadline = ports_.clock.mono_now() + wait, .accept_at_deadline = true},
      [this, job, held = std::move(reply)](const PendingRequest* self, WaitEnd, std::vector<ImageSlot> ended) mutable {
        parts_.router.forget(self);
        held.send(ended[0].result ? document_response(*ended[0].result) : pending_response(job));
      });
  parts_.router.watch(pending);
  parts_.router.expect(job, pending, 0);
  // It may have been answered between the first look and now.
  if (auto result = stored_result(job); result && *result) pending->answer(0, **std::move(result));
}

void Api::list_results(Request& request, Reply reply) {
  const auto session = session_of(request);
  const std::vector<JobResult> results = session ? parts_.results.of(*session) : std::vector<JobResult>();
  std::string body;
  if (wants_json(request)) {
    for (const JobResult& result : results) body += (body.empty() ? "" : ",") + to_json(result);
    return reply.send(json_response("{\"results\":[" + body + "]}\n"));
  }
  // As the reference systems list them: name → label, the latest of equal names.
  std::vector<std::pair<std::string_view, std::string>> labels;
  for (const JobResult& result : results) {
    std::string label = result.error ? "error: " + result.error->code : result.labels.front().label;
    const auto known =
        std::ranges::find(labels, std::string_view(result.name), [](const auto& entry) { return entry.first; });
    if (known == labels.end())
      labels.emplace_back(result.name, std::move(label));
    else
      known->second = std::move(label);
  }
  for (const auto& [name, label] : labels)
    body += (body.empty() ? "" : ",") + json_quote(name) + ":" + json_quote(label);
  reply.send(json_response("{" + body + "}\n"));
}

void Api::readiness(Request&, Reply reply) {
  std::string missing;
  const auto check = [&](std::string_view what, const std::optional<Error>& error) {
    if (error) missing += std::string(missing.empty() ? "" : " ") + std::string(what) + ": " + describe(*error);
  };
  const auto error_of = [](const auto& result) { return result ? std::nullopt : std::optional<Error>(result.error()); };
  if (draining_) missing = "The server is stopping.";
  check("request queue", error_of(ports_.requests.depth()));
  check("response queue", error_of(ports_.responses.depth()));
  const auto probe = ports_.inputs.head(ObjectKey("inputs/readiness-probe"));
  if (!probe && probe.error().kind != ErrorKind::not_found) check("image store", probe.error());
  if (missing.empty()) return reply.send({.headers = {}, .body = "ready\n"});
  reply.send(error_response({}, {ErrorKind::transient, "not_ready", missing}, reply.request()));
}

}  // namespace imgrec
