#include "roles/web/api/classify.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "roles/web/access/owner.hpp"
#include "roles/web/access/session.hpp"
#include "roles/web/api/inference.hpp"
#include "roles/web/compat/inference_protocol.hpp"
#include "roles/web/compat/rekognition.hpp"

namespace imgrec {
namespace {

constexpr Millis kChargeTimeout{10'000};
// Whoever has claimed an Idempotency-Key has stored its images after so long, or is not able to.
constexpr Millis kFirstRequestStores{2'000};

}  // namespace

void ClassifyHandler::handle(Exchange exchange) {
  if (exchange.form.shape) return handle_shaped(std::move(exchange));
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
  start(std::move(exchange), *intake);
}

Result<ShapedRequest> ClassifyHandler::take_shaped(Exchange& exchange) const {
  if (exchange.route.endpoint == Endpoint::detect_labels) return take_detect_labels(exchange.request);
  if (auto checked = check_model(exchange.route, exchange.request, settings_.model); !checked) {
    return fail(checked.error());
  }
  return take_inference(exchange.request, settings_.model,
                        {.images_max = settings_.web.images_per_request_max, .top_k = settings_.top_k});
}

void ClassifyHandler::handle_shaped(Exchange exchange) {
  auto shaped = take_shaped(exchange);
  if (!shaped) return exchange.send_error(shaped.error());
  exchange.form.shape = std::move(shaped->shape);
  Intake intake;
  intake.body = std::move(shaped->body);
  intake.options.top_k = shaped->top_k;
  for (ShapedRequest::Image& image : shaped->images) {
    std::optional<Error> error;
    if (image.object) {
      error = check_reference(*image.object, settings_.image);
    } else if (!image.is_tensor) {
      error = check_image(image.bytes, settings_.image);
    }
    intake.images.push_back({.name = std::move(image.name),
                             .bytes = image.bytes,
                             .error = std::move(error),
                             .object = std::move(image.object)});
  }
  start(std::move(exchange), intake);
}

void ClassifyHandler::start(Exchange exchange, const Intake& intake) {
  if (!charge(exchange, intake)) return;

  Client client = client_of(exchange);
  Images images = prepare(intake, common_request(exchange, client, intake.options));
  const auto claim = claim_key(exchange, client.owner, images);
  if (!claim) return exchange.send_error(claim.error());
  client.may_return = claim->has_value();
  const auto pending = hold(std::move(exchange), std::move(images.slots), std::move(client));
  if (*claim && !(*claim)->is_new) rejoin(**claim, pending, images.uploads);
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

// Who names no session is given one that nobody else has; its jobs belong to whoever knows their ids.
ClassifyHandler::Client ClassifyHandler::client_of(const Exchange& exchange) const {
  if (auto owner = exchange.owner()) return {.session = *owner, .owner = make_owner_id(owner), .cookie_to_set = {}};
  Client client{.session = make_session(ports_.rng), .owner = {}, .cookie_to_set = {}};
  // The aliases answer programs that may keep cookies, so that GET /results knows them again.
  if (exchange.route.compatible && exchange.route.name != "compat") {
    client.cookie_to_set = session_cookie(exchange.request, client.session, settings_.web);
    client.owner = make_owner_id(client.session);
  }
  return client;
}

Result<std::optional<Idempotency::Claim>> ClassifyHandler::claim_key(const Exchange& exchange, const OwnerId& owner,
                                                                     Images& images) {
  const Request& request = exchange.request;
  const auto key = request.header("idempotency-key");
  if (!key || exchange.form.held) return std::nullopt;
  if (auto checked = check_idempotency_key(*key); !checked) return fail(checked.error());
  // Not the body: a form's boundary differs each time that it is sent.
  Sha256 digest;
  IdempotencyRecord mine{.digest = {}, .jobs = {}, .at = ports_.clock.wall_now()};
  for (const ImageSlot& slot : images.slots) {
    digest.update(json_quote(slot.name) + (slot.refused ? slot.refused->code : "") + "\n");
    mine.jobs.push_back(slot.job);
  }
  for (const ImageUpload& upload : images.uploads) {
    digest.update(upload.job.input.sha256 + " " + std::to_string(upload.job.top_k) + " " +
                  std::to_string(upload.job.thumbnail) + "\n");
  }
  digest.update(std::to_string(exchange.form.min_score));
  for (const auto& [name, value] : request.query) digest.update(json_quote(name) + json_quote(value));
  mine.digest = digest.finish_hex();
  auto claim = jobs_.idempotency.claim(owner, *key, mine);
  if (!claim && claim.error().kind != ErrorKind::invalid) {
    log::warning("cannot look up an Idempotency-Key", {{"error", describe(claim.error())}});
    return fail(refusal_of(claim.error()));
  }
  if (!claim) return fail(claim.error());
  for (std::size_t i = 0; i < images.slots.size(); ++i) images.slots[i].job = claim->record.jobs[i];
  for (ImageUpload& upload : images.uploads) {
    upload.job.job = claim->record.jobs[upload.index];
    upload.job.input.key = input_key(upload.job.job, owner);
  }
  return *std::move(claim);
}

// Waits for the jobs of the request that came first, and leaves in `uploads` those that it never stored: its node has
// died, or was in an outage. Storing and sending those under the same ids changes nothing if it was only slow.
void ClassifyHandler::rejoin(const Idempotency::Claim& claim, const std::shared_ptr<PendingRequest>& pending,
                             std::vector<ImageUpload>& uploads) {
  const bool may_be_storing = ports_.clock.wall_now() - claim.record.at < kFirstRequestStores;
  std::erase_if(uploads, [&](const ImageUpload& upload) {
    const JobId& job = upload.job.job;
    router_.await(job, pending, upload.index);
    if (auto result = jobs_.lookup.stored_result(job); result && *result) {
      pending->answer(upload.index, **std::move(result));
      return true;
    }
    const bool is_stored = router_.owner_of(job) || ports_.inputs.head(upload.job.input.key, jobs_.lookup.limits());
    if (is_stored || may_be_storing) pending->queued(upload.index);
    return is_stored || may_be_storing;
  });
}

// A held client waits no longer than wait_max; a job whose client knows its id lives on.
JobRequest ClassifyHandler::common_request(const Exchange& exchange, const Client& client,
                                           const ClassifyOptions& options) const {
  const WallTime now = ports_.clock.wall_now();
  const Millis lifetime = exchange.form.held || exchange.form.shape ? settings_.web.wait_max : settings_.web.job_ttl;
  return {.job = {},
          .session = client.session,
          .owner = client.owner,
          .name = {},
          .input = {},
          .top_k = options.top_k.value_or(settings_.top_k),
          .thumbnail = options.thumbnail.value_or(0),
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
    upload.job.object = image.object;
    upload.job.input = {.bucket = settings_.input_bucket,
                        .key = input_key(job, common.owner),
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

std::shared_ptr<PendingRequest> ClassifyHandler::hold(Exchange exchange, std::vector<ImageSlot> slots, Client of) {
  for (const ImageSlot& slot : slots) {
    if (!slot.job.empty()) exchange.reply.concerns(slot.job);
  }
  const PendingRequest::Options options = wait_options(exchange.request, exchange.form.held);
  const auto client = of.may_return ? nullptr : exchange.client;
  auto pending = std::make_shared<PendingRequest>(
      std::move(slots), options,
      [this, form = exchange.form, sender = std::move(of), reply = std::move(exchange.reply)](
          const PendingRequest* self, WaitEnd how, std::vector<ImageSlot> ended) mutable {
        router_.forget(self);
        // A job that was accepted has an id that its client knows, unless it knows none of jobs.
        const bool lives_on =
            sender.may_return || how == WaitEnd::stopping || (how == WaitEnd::accepted && !form.shape);
        if (!lives_on) abandon_unanswered(ended, sender.owner);
        count_answers(how, ended);
        if (how == WaitEnd::left) return reply.send_to_nobody();
        Response response = images_response(form, how, ended, reply.request());
        if (!sender.cookie_to_set.empty()) response.headers.emplace_back("Set-Cookie", sender.cookie_to_set);
        reply.send(std::move(response));
      });
  router_.watch(pending);
  pending->end_if_settled();
  if (client) client->attach(pending);
  return pending;
}

// Jobs whose id no client was told, and for which nobody waits any more, are not worked on if they are not begun.
void ClassifyHandler::abandon_unanswered(const std::vector<ImageSlot>& slots, const OwnerId& owner) {
  std::vector<JobId> abandoned;
  for (const ImageSlot& slot : slots) {
    if (!slot.job.empty() && !slot.result) abandoned.push_back(slot.job);
  }
  if (!abandoned.empty()) uploader_.cancel(abandoned, owner);
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
