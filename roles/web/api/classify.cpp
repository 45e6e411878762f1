#include "roles/web/api/classify.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/digest.hpp"
#include "roles/web/access/session.hpp"

namespace imgrec {
namespace {

constexpr Millis kChargeTimeout{10'000};

}  // namespace

void ClassifyHandler::handle(Exchange exchange) {
  auto intake = take_images(exchange.request, settings_.web, settings_.image);
  if (!intake) return exchange.send_error(intake.error());
  const ClassifyOptions& options = intake->options;
  if (options.model && *options.model != settings_.model) {
    return exchange.send_error({ErrorKind::not_found, "unknown_model",
                                "There is no model of this name here; there is " + settings_.model + "."});
  }
  exchange.form.dialect = intake->dialect;
  exchange.form.is_list = intake->is_list;
  exchange.form.min_score = options.min_score.value_or(0);
  if (!charge(exchange, *intake)) return;

  const auto known_session = exchange.owner();
  const SessionId session = known_session ? *known_session : make_session(ports_.rng);
  // The aliases answer programs that may keep cookies, so that GET /results knows them again.
  std::string cookie_to_set;
  if (exchange.route.compatible && exchange.route.name != "compat" && !known_session) {
    cookie_to_set = session_cookie(exchange.request, session, settings_.web);
  }
  Images images = prepare(*intake, common_request(exchange, session, options.top_k.value_or(settings_.top_k)));
  const auto pending = hold(std::move(exchange), std::move(images.slots), std::move(cookie_to_set));
  for (ImageUpload& upload : images.uploads) {
    upload.request = pending;
    upload.held = !pending->accepts_at_deadline();
  }
  uploader_.start(std::move(images.uploads));
}

// Images that are refused here cost nothing. Returns false when the request was answered: its key has no more.
bool ClassifyHandler::charge(Exchange& exchange, const Intake& intake) {
  const auto images = std::ranges::count_if(intake.images, [](const ReceivedImage& image) { return !image.error; });
  auto charge = access_.charge(exchange.caller, static_cast<std::uint64_t>(images),
                               {Deadline::in(ports_.clock, kChargeTimeout), abort_});
  if (!charge) {
    exchange.send_error(charge.error());
    return false;
  }
  exchange.reply.add_headers(std::move(charge->headers));
  if (!charge->refused) return true;
  exchange.send(
      error_response(exchange.form, refusal_of(*charge->refused), exchange.request.id, retry_after(*charge->refused)));
  return false;
}

// A held client waits no longer than wait_max; a job whose client knows its id lives on.
JobRequest ClassifyHandler::common_request(const Exchange& exchange, const SessionId& session, int top_k) const {
  const WallTime now = ports_.clock.wall_now();
  const Millis lifetime = exchange.form.held ? settings_.web.wait_max : settings_.web.job_ttl;
  return {.job = {},
          .session = session,
          .name = {},
          .input = {},
          .top_k = top_k,
          .reply_to = ports_.responses_name,
          .traceparent = traceparent_of(exchange.request),
          .submitted_at = now,
          .expires_at = now + lifetime};
}

ClassifyHandler::Images ClassifyHandler::prepare(const Intake& intake, const JobRequest& common) {
  Images images;
  for (const ReceivedImage& image : intake.images) {
    const JobId job = image.error ? JobId() : make_job_id(common.submitted_at, ports_.rng);
    images.slots.push_back({.name = image.name, .job = job, .result = {}, .refused = image.error});
    if (image.error) continue;
    ImageUpload& upload = images.uploads.emplace_back(ImageUpload{
        .job = common, .body = intake.body, .bytes = image.bytes, .request = {}, .index = images.slots.size() - 1});
    upload.job.job = job;
    upload.job.name = image.name;
    upload.job.input = {.bucket = settings_.input_bucket,
                        .key = input_key(job),
                        .bytes = image.bytes.size(),
                        .sha256 = sha256_hex(image.bytes)};
    ports_.metrics.counter("imgrec_web_upload_bytes_total", "Bytes of the images taken in.")
        .add(static_cast<double>(image.bytes.size()));
  }
  return images;
}

PendingRequest::Options ClassifyHandler::wait_options(const Request& request, bool held) const {
  const MonoTime now = ports_.clock.mono_now();
  const Millis longest = settings_.web.wait_max;
  if (held) return {.deadline = now + longest};
  const Preferences prefer = parse_prefer(request);
  const Millis wait = prefer.wait            ? std::min<Millis>(*prefer.wait, longest)
                      : prefer.respond_async ? Millis(0)
                                             : longest;
  return {.deadline = now + wait, .accept_at_deadline = true};
}

std::shared_ptr<PendingRequest> ClassifyHandler::hold(Exchange exchange, std::vector<ImageSlot> slots,
                                                      std::string cookie_to_set) {
  for (const ImageSlot& slot : slots) {
    if (!slot.job.empty()) exchange.reply.concerns(slot.job);
  }
  const PendingRequest::Options options = wait_options(exchange.request, exchange.form.held);
  const auto client = exchange.client;
  auto pending = std::make_shared<PendingRequest>(
      std::move(slots), options,
      [this, form = exchange.form, cookie = std::move(cookie_to_set), reply = std::move(exchange.reply)](
          const PendingRequest* self, WaitEnd how, std::vector<ImageSlot> ended) mutable {
        router_.forget(self);
        abandon_unanswered(how, ended);
        count_answers(how, ended);
        if (how == WaitEnd::left) return reply.send_to_nobody();
        Response response = images_response(form, how, ended, reply.request());
        if (!cookie.empty()) response.headers.emplace_back("Set-Cookie", cookie);
        reply.send(std::move(response));
      });
  router_.watch(pending);
  pending->end_if_settled();
  client->attach(pending);
  return pending;
}

// Jobs whose id no client was told, and for which nobody waits any more, are not worked on if they are not begun.
void ClassifyHandler::abandon_unanswered(WaitEnd how, const std::vector<ImageSlot>& slots) {
  if (how == WaitEnd::accepted || how == WaitEnd::stopping) return;
  std::vector<JobId> abandoned;
  for (const ImageSlot& slot : slots) {
    if (!slot.job.empty() && !slot.result) abandoned.push_back(slot.job);
  }
  if (!abandoned.empty()) uploader_.cancel(std::move(abandoned));
}

void ClassifyHandler::count_answers(WaitEnd how, const std::vector<ImageSlot>& slots) {
  for (const ImageSlot& slot : slots) {
    const char* outcome = slot.refused                        ? "refused"
                          : slot.result && slot.result->error ? "error"
                          : slot.result                       ? "labels"
                          : how == WaitEnd::accepted          ? "accepted"
                          : how == WaitEnd::left              ? "client_left"
                                                              : "unanswered";
    ports_.metrics
        .counter("imgrec_web_answers_total", "Images answered, by what the client was told.", {{"outcome", outcome}})
        .add();
  }
}

}  // namespace imgrec
