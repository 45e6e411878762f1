#include "roles/worker/process_job.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/base/base64.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "lib/job/other_version.hpp"
#include "lib/job/tensor.hpp"
#include "lib/queues/queues.hpp"
#include "roles/worker/attempts.hpp"
#include "roles/worker/fetch_object.hpp"
#include "roles/worker/named_results.hpp"

namespace imgrec {
namespace {

constexpr const char* kInputMismatch = "input_mismatch";
constexpr int kSwapsMax = 5;  // attempts to put labels in an error's place while others replace it too

struct Title {
  std::string_view code, title;
};
constexpr Title kTitles[] = {
    {"unsupported_format", "Unsupported image format"},
    {"image_too_large", "Image too large"},
    {"image_truncated", "The image ends early"},
    {"image_corrupt", "The image is damaged"},
    {"bad_object_reference", "The object cannot be read as it is named"},
    {"bucket_not_allowed", "Objects of this bucket are not read here"},
    {"object_not_found", "The object is not there"},
    {"object_denied", "The object may not be read"},
    {"input_mismatch", "The stored image is another one"},
    {"poison", "The image could not be processed"},
    {"expired", "The image was not classified in time"},
    {"bad_request_message", "The request cannot be read"},
    {"bad_reply_to", "The request names no queue for answers"},
};

std::string title_of(std::string_view code) {
  const auto found = std::ranges::find(kTitles, code, &Title::code);
  return std::string(found == std::end(kTitles) ? "The image was refused" : found->title);
}

/// Why a job ends without labels.
struct Refusal {
  Outcome outcome = Outcome::refused;
  std::string code, detail;
  bool retryable = false;
};

using End = std::variant<Answer, Return, Suspect>;

class Job {
 public:
  Job(const JobContext& context, HeldMessage held)
      : context_(context), ports_(context.ports), held_(std::move(held)), begun_(ports_.clock.mono_now()) {}

  End run();

 private:
  End leave_to_others();
  End refuse_unparsable(const Error& error);
  End refuse(Refusal refusal);
  End expire();
  End drop_cancelled();
  End finish(JobResult result, Outcome outcome);
  End answer(std::string body, Outcome outcome);
  End come_back(const Error& error);
  End work_on_image();
  std::optional<End> answer_again();
  Result<bool> begin_attempt();
  Result<std::string> fetch();
  Result<Classification> classify(const std::string& image);
  void make_thumbnail(Classifier& classifier, ByteView image);
  Result<StoredObject> stored_result();
  Result<std::optional<std::string>> store(const JobResult& result);
  Result<void> store_beside(const JobResult& result);
  JobResult make_result() const;
  bool is_suspect() const { return !held_.message.is_first_delivery(); }
  bool is_expired() const { return ports_.clock.wall_now() >= request_.expires_at; }
  bool may_reply() const { return is_response_queue(context_.settings.queue, request_.reply_to); }
  double ms_since(MonoTime time) const { return elapsed_ms(time, ports_.clock.mono_now()); }

  const JobContext& context_;
  const WorkerPorts& ports_;
  HeldMessage held_;
  MonoTime begun_;
  JobRequest request_;
  std::string image_;  // only while it is to be stored again beside its result
  StageTimings timings_;
  std::string label_;
  std::string thumbnail_;  // base64
  std::string dead_letter_;
  std::optional<Attempts> attempts_;  // of a suspect that is tried
};

End Job::run() {
  ports_.on_step(JobStep::received);
  const Message& message = held_.message;
  timings_.queue_ms =
      std::max(0.0, std::chrono::duration<double, std::milli>(held_.received_wall - message.sent_at).count()) +
      elapsed_ms(held_.received_at, begun_);
  auto parsed = parse_job_request(message.body);
  if (!parsed) {
    return is_other_version(parsed.error()) ? leave_to_others() : refuse_unparsable(parsed.error());
  }
  request_ = *std::move(parsed);
  ports_.on_step(JobStep::parsed);

  if (!may_reply()) {
    return refuse(
        {.code = "bad_reply_to", .detail = "Answers go only to queues of this service: reply_to has another prefix."});
  }
  // Not at the first delivery: nearly none has a result, and the look-up would be a quarter of an image's calls to the
  // store. One that has (the queue's count is approximate) costs work twice; finish() finds the result that is there.
  if (is_suspect()) {
    if (auto answered = answer_again()) return *std::move(answered);
  }
  if (is_expired()) return expire();
  if (is_suspect() && !held_.alone) return Suspect{.held = std::move(held_)};
  return work_on_image();
}

End Job::work_on_image() {
  const MonoTime fetch_begun = ports_.clock.mono_now();
  auto image = fetch();
  if (!image && image.error().kind == ErrorKind::not_found) return drop_cancelled();
  if (!image && image.error().kind == ErrorKind::invalid) {
    return refuse({.code = image.error().code,
                   .detail = image.error().message,
                   .retryable = image.error().code == kInputMismatch});
  }
  if (!image) return come_back(image.error());
  if (!request_.object && is_tensor_of_other_version(*image)) return leave_to_others();
  timings_.fetch_ms = ms_since(fetch_begun);
  ports_.on_step(JobStep::fetched);

  if (is_suspect()) {
    const auto begun = begin_attempt();
    if (!begun) return come_back(begun.error());
    if (!*begun) {
      return refuse({.outcome = Outcome::poison,
                     .code = "poison",
                     .detail = "It was tried " + std::to_string(context_.settings.worker.attempts_max) +
                               " times alone and each time the worker ended without a result, so it is not tried "
                               "again. It is kept in the dead-letter queue."});
    }
  }
  auto classification = classify(*image);
  if (copies_image(context_.settings.results)) image_ = std::move(*image);
  *image = {};  // storing may take a while
  context_.on_classified();
  if (!classification && classification.error().kind == ErrorKind::invalid) {
    return refuse({.code = classification.error().code, .detail = classification.error().message});
  }
  if (!classification) return come_back(classification.error());
  if (context_.abandon.stop_requested()) return come_back({ErrorKind::cancelled, "stopped", "The worker ends."});
  ports_.on_step(JobStep::classified);

  JobResult result = make_result();
  result.labels = std::move(classification->labels);
  result.thumbnail = std::move(thumbnail_);
  return finish(std::move(result), Outcome::labelled);
}

// A result that is there already, unless it is an error that another attempt may replace.
std::optional<End> Job::answer_again() {
  auto stored = stored_result();
  if (!stored && stored.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!stored) return come_back(stored.error());
  const auto result = parse_job_result(stored->bytes);
  if (result && result->error && result->error->retryable) return std::nullopt;
  if (result) {
    if (auto beside = store_beside(*result); !beside) return come_back(beside.error());
  }
  return answer(std::move(stored->bytes), Outcome::answered_again);
}

Result<StoredObject> Job::stored_result() {
  return context_.reading.call(context_.abandon, [&](const CallLimits& limits) {
    return ports_.outputs.get(result_key(request_.job), kMessageBytesMax, limits);
  });
}

// The image, or an error: not_found and invalid are about this image, anything else may pass.
Result<std::string> Job::fetch() {
  const JobInput& input = request_.input;
  auto image = context_.reading.call(context_.abandon, [&](const CallLimits& limits) {
    return ports_.inputs.get(input.key, context_.settings.image.bytes_max, limits);
  });
  if (!image && image.error().code == "object_too_large") {
    return fail(ErrorKind::invalid, "image_too_large",
                "The file has more than " + std::to_string(context_.settings.image.bytes_max) + " bytes.");
  }
  if (image && sha256_hex(image->bytes) != input.sha256) {
    return fail(ErrorKind::invalid, kInputMismatch,
                "The stored bytes are not those that were uploaded: send it again.");
  }
  if (!image) return fail(image.error());
  return request_.object ? fetch_object(context_, request_) : std::move(image->bytes);
}

// Counts that this suspect is tried; false when it was tried too often. First the process shows that it can classify an
// image at all: where a build or a machine dies on every image, it dies now, and nothing is counted against this one.
Result<bool> Job::begin_attempt() {
  {
    const auto classifier = context_.classifiers.borrow(context_.abandon);
    if (!classifier) return fail(ErrorKind::cancelled, "stopped", "The worker ends.");
    if (auto proven = context_.engine.prove(**classifier); !proven) {
      context_.on_engine_lost(proven.error());
      return fail(proven.error());
    }
  }
  attempts_.emplace(Attempts::Ports{ports_.outputs, context_.storing, ports_.clock}, request_.job,
                    context_.settings.worker.attempts_max);
  return attempts_->begin(context_.abandon);
}

Result<Classification> Job::classify(const std::string& image) {
  const MonoTime wait_begun = ports_.clock.mono_now();
  const auto classifier = context_.classifiers.borrow(context_.abandon);
  if (!classifier) return fail(ErrorKind::cancelled, "stopped", "The worker ends.");
  timings_.queue_ms += ms_since(wait_begun);
  auto outcome = classify_guarded(**classifier, image, request_.top_k);
  if (outcome || outcome.error().kind == ErrorKind::invalid) {
    context_.engine.succeeded();
  } else {
    context_.metrics.engine_failures.add();
    auto works = context_.engine.failed(**classifier, outcome.error());
    if (!works) context_.on_engine_lost(works.error());
  }
  if (!outcome) return outcome;
  timings_.decode_ms = outcome->decode_ms;
  timings_.preprocess_ms = outcome->preprocess_ms;
  timings_.infer_ms = outcome->infer_ms;
  if (request_.thumbnail > 0) make_thumbnail(**classifier, image);
  return outcome;
}

// The labels are what the image was sent for: without a small picture they are answered, too.
void Job::make_thumbnail(Classifier& classifier, ByteView image) {
  const auto made = thumbnail_guarded(classifier, image, std::clamp(request_.thumbnail, kThumbnailMin, kThumbnailMax));
  if (made) {
    thumbnail_ = base64_encode(*made);
  } else {
    log::info("no thumbnail", {{"job", request_.job}, {"error", describe(made.error())}});
  }
}

// While versions change, some workers are older than the web tier, or newer: one of the others can read it.
End Job::leave_to_others() {
  const Millis delay = context_.settings.worker.other_version_delay;
  log::warning("request message of another version; back to the queue for workers of that version",
               {{"message", held_.message.id}, {"delay_ms", delay.count()}});
  return Return{.held = std::move(held_), .job = {}, .delay = delay};
}

End Job::expire() {
  return refuse({.outcome = Outcome::expired,
                 .code = "expired",
                 .detail = "Its time ran out at " + to_rfc3339(request_.expires_at) +
                           " before it could be classified: send it again.",
                 .retryable = true});
}

// Whoever sent the image left and had it removed, or it is older than the images that are kept: nobody waits for it.
End Job::drop_cancelled() {
  auto stored = stored_result();
  if (stored) {
    if (const auto result = parse_job_result(stored->bytes)) {
      if (auto beside = store_beside(*result); !beside) return come_back(beside.error());
    }
    return answer(std::move(stored->bytes), Outcome::answered_again);
  }
  if (stored.error().kind != ErrorKind::not_found) return come_back(stored.error());
  return answer("", Outcome::cancelled);
}

End Job::refuse_unparsable(const Error& error) {
  log::warning("request message cannot be read; to the dead letters",
               {{"message", held_.message.id}, {"error", describe(error)}});
  dead_letter_ = held_.message.body;
  const auto address = find_reply_address(held_.message.body);
  if (!address) return answer("", Outcome::unreadable);
  request_.job = address->job;
  request_.session = address->session;
  request_.owner = address->owner;
  request_.name = address->name;
  request_.reply_to = address->reply_to;
  return refuse({.code = error.code, .detail = error.message});
}

End Job::refuse(Refusal refusal) {
  if (refusal.outcome == Outcome::poison || !may_reply()) dead_letter_ = held_.message.body;
  JobResult result = make_result();
  result.error = JobError{.code = refusal.code,
                          .title = title_of(refusal.code),
                          .detail = std::move(refusal.detail),
                          .retryable = refusal.retryable};
  return finish(std::move(result), refusal.outcome);
}

// Stores the result. If there is one already, that one is the answer: all answers to a job agree.
End Job::finish(JobResult result, Outcome outcome) {
  label_ = result.error ? result.error->code : result.labels.front().label;
  const MonoTime store_begun = ports_.clock.mono_now();
  result.timings = timings_;  // store_ms is not known before it is stored: only the answer has it
  auto earlier = store(result);
  if (!earlier) return come_back(earlier.error());
  const double store_ms = ms_since(store_begun);
  ports_.on_step(JobStep::stored);
  if (attempts_ && outcome != Outcome::poison) attempts_->forget();
  if (*earlier) {
    const auto there = parse_job_result(**earlier);
    if (there) {
      if (auto beside = store_beside(*there); !beside) return come_back(beside.error());
    }
    // A poison message whose labels were stored by an earlier delivery is none; one that was refused still is.
    if (outcome == Outcome::poison && there && !there->error) dead_letter_.clear();
    return answer(**std::move(earlier), Outcome::answered_again);
  }
  if (auto beside = store_beside(result); !beside) return come_back(beside.error());
  result.timings.store_ms = timings_.store_ms = store_ms;
  return answer(to_json(result), outcome);
}

// Returns the result that stays when one is there already: labels replace an error, nothing replaces labels, and
// nothing replaces what a client cancelled.
Result<std::optional<std::string>> Job::store(const JobResult& result) {
  const ObjectKey key = result_key(request_.job);
  const std::string document = to_json(result);
  PutOptions options{.only_if_absent = true, .content_type = "application/json"};
  for (int swaps = 0; swaps < kSwapsMax; ++swaps) {
    const auto put = context_.storing.call(
        context_.abandon, [&](const CallLimits& limits) { return ports_.outputs.put(key, document, options, limits); });
    if (!put) return fail(put.error());
    if (*put == PutOutcome::stored) return std::nullopt;
    auto stored = stored_result();
    if (!stored) return fail(stored.error());
    const auto earlier = parse_job_result(stored->bytes);
    const bool stays = result.error || !earlier || !earlier->error || earlier->error->code == kCancelledCode;
    if (stays) return std::move(stored->bytes);
    // Labels take the place of exactly the error that was read: not of labels that another worker stored meanwhile.
    options.only_if_absent = false;
    options.if_match = stored->version;
  }
  return fail(ErrorKind::transient, "result_contended", "Other workers keep replacing the result of this job.");
}

// Stored before the answer leaves, so that whoever has the answer finds it; after a crash in between, the next delivery
// stores it.
Result<void> Job::store_beside(const JobResult& result) {
  NamedResults named({ports_.outputs, context_.storing, context_.reading}, context_.settings.results);
  if (!named.wants(result)) return {};
  if (named.wants_image() && image_.empty()) {
    auto image = fetch();
    if (!image && (image.error().kind == ErrorKind::not_found || image.error().kind == ErrorKind::invalid)) {
      log::warning("no copy of the image beside its result: it is gone", {{"job", request_.job}});
      return {};
    }
    if (!image) return fail(image.error());
    image_ = *std::move(image);
  }
  return named.store(request_, result, image_, context_.abandon);
}

End Job::answer(std::string body, Outcome outcome) {
  Answer answer;
  answer.outcome = outcome;
  answer.job = request_.job;
  answer.session = request_.session;
  answer.name = request_.name;
  answer.traceparent = request_.traceparent;
  if (may_reply()) answer.reply_to = request_.reply_to;
  answer.body = std::move(body);
  answer.dead_letter = std::move(dead_letter_);
  answer.label = std::move(label_);
  answer.timings = timings_;
  answer.held = std::move(held_);
  return answer;
}

// Nothing that sends a message back is a verdict on its image. After an outage it comes back at once, which a queue
// that can tell does not count as a delivery: the outage itself spaces the attempts.
End Job::come_back(const Error& error) {
  if (attempts_) attempts_->undo();
  Return returned{.held = std::move(held_), .job = request_.job, .delay = Millis(0)};
  if (!context_.abandon.stop_requested()) {
    log::warning(
        "job not done; back to the queue",
        {{"job", request_.job}, {"receive_count", returned.held.message.receive_count}, {"error", describe(error)}});
    const bool outage = is_outage(error) && error.kind != ErrorKind::bug;
    returned.delay = outage ? Millis(0) : return_delay(returned.held.message.receive_count);
  }
  return returned;
}

JobResult Job::make_result() const {
  JobResult result;
  result.job = request_.job;
  result.session = request_.session;
  result.owner = request_.owner;
  result.name = request_.name;
  result.model = context_.classifiers.model();
  result.worker = context_.worker;
  result.app_tier_id = context_.settings.worker.app_tier_id;
  result.completed_at = ports_.clock.wall_now();
  return result;
}

}  // namespace

Millis return_delay(int receive_count) {
  return Seconds(1 << std::clamp(receive_count - 1, 0, 5));
}

std::variant<Answer, Return, Suspect> process_job(const JobContext& context, HeldMessage held) {
  // Enough to return the message when the job has consumed it.
  HeldMessage remains{.message = {.id = held.message.id,
                                  .receipt = held.message.receipt,
                                  .body = {},
                                  .group_id = {},
                                  .receive_count = held.message.receive_count,
                                  .sent_at = held.message.sent_at},
                      .received_at = held.received_at,
                      .received_wall = held.received_wall};
  try {
    return Job(context, std::move(held)).run();
  } catch (const std::exception& error) {
    log::error("job ended by an exception; back to the queue",
               {{"message", remains.message.id}, {"error", error.what()}});
    const Millis delay = return_delay(remains.message.receive_count);
    return Return{.held = std::move(remains), .job = {}, .delay = delay};
  }
}

}  // namespace imgrec
