#include "roles/worker/process_job.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

struct Title {
  std::string_view code, title;
};
constexpr Title kTitles[] = {
    {"unsupported_format", "Unsupported image format"},
    {"image_too_large", "Image too large"},
    {"image_truncated", "The image ends early"},
    {"image_corrupt", "The image is damaged"},
    {"input_missing", "The image is not stored"},
    {"input_mismatch", "The stored image is another one"},
    {"poison", "The image could not be processed"},
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

class Job {
 public:
  Job(const JobContext& context, HeldMessage held)
      : context_(context), ports_(context.ports), held_(std::move(held)), begun_(ports_.clock.mono_now()) {}

  std::variant<Answer, Return> run();

 private:
  using End = std::variant<Answer, Return>;

  End refuse_unparsable(const Error& error);
  End refuse(Refusal refusal);
  End finish(JobResult result, Outcome outcome);
  End answer(std::string body, Outcome outcome);
  End come_back(const Error& error);
  Result<std::string> fetch();
  Result<Classification> classify(const std::string& image);
  JobResult make_result() const;
  bool may_reply() const { return request_.reply_to.starts_with(context_.settings.queue.response_prefix); }
  double ms_since(MonoTime time) const { return elapsed_ms(time, ports_.clock.mono_now()); }

  const JobContext& context_;
  const WorkerPorts& ports_;
  HeldMessage held_;
  MonoTime begun_;
  JobRequest request_;
  StageTimings timings_;
  std::string label_;
  std::string dead_letter_;
};

std::variant<Answer, Return> Job::run() {
  ports_.on_step(JobStep::received);
  const Message& message = held_.message;
  timings_.queue_ms =
      std::max(0.0, std::chrono::duration<double, std::milli>(held_.received_wall - message.sent_at).count()) +
      elapsed_ms(held_.received_at, begun_);
  auto parsed = parse_job_request(message.body);
  if (!parsed) return refuse_unparsable(parsed.error());
  request_ = *std::move(parsed);
  ports_.on_step(JobStep::parsed);

  if (!may_reply()) {
    return refuse(
        {.code = "bad_reply_to", .detail = "Answers go only to queues of this service: reply_to has another prefix."});
  }
  if (message.receive_count > context_.settings.queue.receives_max) {
    return refuse({.outcome = Outcome::poison,
                   .code = "poison",
                   .detail = "It was tried " + std::to_string(context_.settings.queue.receives_max) +
                             " times without a result, so it is not tried again."});
  }
  // Not at the first delivery: nearly none has a result, and the look-up would be a quarter of an image's calls to the
  // store. One that has (the queue's count is approximate) costs work twice; finish() finds the result that is there.
  if (message.receive_count > 1) {
    auto stored = context_.reading.retry(
        context_.abandon, [&] { return ports_.outputs.get(result_key(request_.job), kMessageBytesMax); });
    if (stored) return answer(*std::move(stored), Outcome::answered_again);
    if (stored.error().kind != ErrorKind::not_found) return come_back(stored.error());
  }

  const MonoTime fetch_begun = ports_.clock.mono_now();
  auto image = fetch();
  if (!image && image.error().kind == ErrorKind::invalid) {
    return refuse({.code = image.error().code,
                   .detail = image.error().message,
                   .retryable = image.error().code.starts_with("input_")});
  }
  if (!image) return come_back(image.error());
  timings_.fetch_ms = ms_since(fetch_begun);
  ports_.on_step(JobStep::fetched);

  auto classification = classify(*image);
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
  return finish(std::move(result), Outcome::labelled);
}

// The image, or an error: invalid is the request's own fault and stays, anything else may pass.
Result<std::string> Job::fetch() {
  const JobInput& input = request_.input;
  auto image = context_.reading.retry(context_.abandon,
                                      [&] { return ports_.inputs.get(input.key, context_.settings.image.bytes_max); });
  if (!image && image.error().kind == ErrorKind::not_found) {
    return fail(ErrorKind::invalid, "input_missing", "The uploaded image is not in the store any more: send it again.");
  }
  if (!image && image.error().code == "object_too_large") {
    return fail(ErrorKind::invalid, "image_too_large",
                "The file has more than " + std::to_string(context_.settings.image.bytes_max) + " bytes.");
  }
  if (image && sha256_hex(*image) != input.sha256) {
    return fail(ErrorKind::invalid, "input_mismatch",
                "The stored bytes are not those that were uploaded: send it again.");
  }
  return image;
}

Result<Classification> Job::classify(const std::string& image) {
  const MonoTime wait_begun = ports_.clock.mono_now();
  const auto classifier = context_.classifiers.borrow(context_.abandon);
  if (!classifier) return fail(ErrorKind::cancelled, "stopped", "The worker ends.");
  timings_.queue_ms += ms_since(wait_begun);
  auto outcome = [&]() -> Result<Classification> {
    try {
      return (**classifier).classify(image, std::max(1, request_.top_k));
    } catch (const std::exception& error) {
      return fail(ErrorKind::bug, "classifier_threw", error.what());
    } catch (...) {
      return fail(ErrorKind::bug, "classifier_threw", "An exception of no known type.");
    }
  }();
  if (!outcome) return outcome;
  if (outcome->labels.empty()) return fail(ErrorKind::bug, "no_labels", "The classifier answered no labels.");
  timings_.decode_ms = outcome->decode_ms;
  timings_.preprocess_ms = outcome->preprocess_ms;
  timings_.infer_ms = outcome->infer_ms;
  return outcome;
}

// Nobody reads such a message better a second time: it is kept for a person, and whoever can be told is told.
std::variant<Answer, Return> Job::refuse_unparsable(const Error& error) {
  log::warning("request message cannot be read; to the dead letters",
               {{"message", held_.message.id}, {"error", describe(error)}});
  dead_letter_ = held_.message.body;
  const auto address = find_reply_address(held_.message.body);
  if (!address) return answer("", Outcome::unreadable);
  request_.job = address->job;
  request_.session = address->session;
  request_.name = address->name;
  request_.reply_to = address->reply_to;
  return refuse({.code = error.code, .detail = error.message});
}

std::variant<Answer, Return> Job::refuse(Refusal refusal) {
  if (refusal.outcome == Outcome::poison || !may_reply()) dead_letter_ = held_.message.body;
  JobResult result = make_result();
  result.error = JobError{.code = refusal.code,
                          .title = title_of(refusal.code),
                          .detail = std::move(refusal.detail),
                          .retryable = refusal.retryable};
  return finish(std::move(result), refusal.outcome);
}

// Stores the result if there is none. If there is, that one is the answer: all answers to a job agree.
std::variant<Answer, Return> Job::finish(JobResult result, Outcome outcome) {
  label_ = result.error ? result.error->code : result.labels.front().label;
  const MonoTime store_begun = ports_.clock.mono_now();
  result.timings = timings_;  // store_ms is not known before it is stored: only the answer has it
  const std::string document = to_json(result);
  const PutOptions options{.only_if_absent = true, .content_type = "application/json"};
  const auto put = context_.storing.retry(
      context_.abandon, [&] { return ports_.outputs.put(result_key(request_.job), document, options); });
  if (!put) return come_back(put.error());
  const double store_ms = ms_since(store_begun);
  ports_.on_step(JobStep::stored);
  if (*put == PutOutcome::already_there) {
    auto stored = context_.reading.retry(
        context_.abandon, [&] { return ports_.outputs.get(result_key(request_.job), kMessageBytesMax); });
    if (!stored) return come_back(stored.error());
    // A poison message whose labels were stored by an earlier delivery is none; one that was refused still is.
    const auto earlier = parse_job_result(*stored);
    if (outcome == Outcome::poison && earlier && !earlier->error) dead_letter_.clear();
    return answer(*std::move(stored), Outcome::answered_again);
  }
  result.timings.store_ms = timings_.store_ms = store_ms;
  return answer(to_json(result), outcome);
}

std::variant<Answer, Return> Job::answer(std::string body, Outcome outcome) {
  Answer answer;
  answer.outcome = outcome;
  answer.job = request_.job;
  answer.session = request_.session;
  answer.name = request_.name;
  if (may_reply()) answer.reply_to = request_.reply_to;
  answer.body = std::move(body);
  answer.dead_letter = std::move(dead_letter_);
  answer.label = std::move(label_);
  answer.timings = timings_;
  answer.held = std::move(held_);
  return answer;
}

std::variant<Answer, Return> Job::come_back(const Error& error) {
  Return back{.held = std::move(held_), .job = request_.job, .delay = Millis(0)};
  if (!context_.abandon.stop_requested()) {
    log::warning(
        "job not done; back to the queue",
        {{"job", request_.job}, {"receive_count", back.held.message.receive_count}, {"error", describe(error)}});
    back.delay = return_delay(back.held.message.receive_count);
  }
  return back;
}

JobResult Job::make_result() const {
  JobResult result;
  result.job = request_.job;
  result.session = request_.session;
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

std::variant<Answer, Return> process_job(const JobContext& context, HeldMessage held) {
  // Enough to return the message, also when the job took the rest with it.
  HeldMessage rest{.message = {.id = held.message.id,
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
    log::error("job ended by an exception; back to the queue", {{"message", rest.message.id}, {"error", error.what()}});
    const Millis delay = return_delay(rest.message.receive_count);
    return Return{.held = std::move(rest), .job = {}, .delay = delay};
  }
}

}  // namespace imgrec
