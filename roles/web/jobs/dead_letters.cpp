#include "roles/web/jobs/dead_letters.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/base/log.hpp"
#include "lib/job/other_version.hpp"
#include "roles/web/jobs/job_lookup.hpp"
#include "roles/web/jobs/job_state.hpp"
#include "roles/web/results/result_router.hpp"

namespace imgrec {
namespace {

constexpr Millis kLettersTimeout{10'000};
constexpr Millis kHidden{60'000};   // a letter comes back by itself so late when this process ends meanwhile
constexpr Millis kLastLook{1'000};  // a queue of many servers is asked for so long before it counts as empty
constexpr int kAttemptsMax = 100;   // objects that count attempts, of one job
constexpr std::size_t kDedupNonceBytes = 8;

JobError unexplained(const Message& message) {
  return {.code = "not_processed",
          .title = "It was delivered too often",
          .detail =
              "Workers took this request again and again, and none stored a result: they ended, or the queue's "
              "visibility is shorter than their work. (queue.receives_max says how often.)",
          .retryable = !message.body.empty()};
}

}  // namespace

CallLimits DeadLetters::limits() const {
  return {Deadline::in(ports_.clock, kLettersTimeout), ports_.abort};
}

// Shows letters to `visit`, and gives back at the end those that it did not take. Returns whether all were seen.
Result<bool> DeadLetters::look(std::size_t letters_max, const Visit& visit, const std::function<bool()>& enough) {
  std::vector<Receipt> held;
  std::size_t seen = 0;
  bool complete = false;
  std::optional<Error> error;
  while (seen < letters_max && !enough()) {
    const auto count = static_cast<int>(std::min(kBatchMax, letters_max - seen));
    ReceiveOptions options{.messages_max = count, .wait = Millis(0), .visibility = kHidden};
    auto letters = ports_.dead_letters.receive(options, ports_.abort);
    if (letters && letters->empty()) {
      const auto depth = ports_.dead_letters.depth(limits());
      complete = depth && depth->visible == 0 && depth->in_flight <= held.size();
      if (depth && depth->visible == 0) break;
      options.wait = kLastLook;
      letters = ports_.dead_letters.receive(options, ports_.abort);
    }
    if (!letters) error = letters.error();
    if (!letters || letters->empty()) break;
    for (const Message& message : *letters) {
      ++seen;
      if (visit(message) == Then::keep) held.push_back(message.receipt);
    }
  }
  for (std::span<const Receipt> rest = held; !rest.empty();) {
    const auto batch = rest.first(std::min(rest.size(), kBatchMax));
    if (const auto given = ports_.dead_letters.extend(batch, Millis(0), limits()); !given) {
      log::warning("dead letters come back in a minute", {{"error", describe(given.error())}});
    }
    rest = rest.subspan(batch.size());
  }
  if (error) return fail(*error);
  return complete;
}

Result<DeadLetters::Listing> DeadLetters::list(std::size_t letters_max) {
  Listing listing;
  const auto complete = look(
      std::min(letters_max, kDeadLettersLookedAt),
      [&](const Message& message) {
        listing.letters.push_back(explain(message));
        return Then::keep;
      },
      [] { return false; });
  if (!complete) return fail(complete.error());
  listing.complete = *complete;
  return listing;
}

DeadLetter DeadLetters::explain(const Message& message) {
  DeadLetter letter{.id = message.id,
                    .job = {},
                    .session = {},
                    .name = {},
                    .error = unexplained(message),
                    .receive_count = message.receive_count,
                    .sent_at = message.sent_at,
                    .bytes = message.body.size()};
  const auto request = parse_job_request(message.body);
  if (request) {
    letter.job = request->job;
    letter.session = request->session;
    letter.name = request->name;
  } else {
    letter.error = {.code = request.error().code,
                    .title = "The request cannot be read",
                    .detail = request.error().message,
                    .retryable = is_other_version(request.error())};
    const auto address = find_reply_address(message.body);
    if (!address) return letter;
    letter.job = address->job;
    letter.session = address->session;
    letter.name = address->name;
  }
  const auto result = read_result(ports_.outputs, letter.job, limits());
  if (!result && is_other_version(result.error())) {
    letter.error = {.code = result.error().code,
                    .title = "It has a result of another version",
                    .detail = result.error().message,
                    .retryable = true};
  }
  if (result && *result && (*result)->error) letter.error = *(*result)->error;
  if (result && *result && !(*result)->error) {
    letter.error = {.code = "job_done",
                    .title = "It has labels already",
                    .detail = "Another delivery of the request was processed. The letter can be dropped.",
                    .retryable = false};
  }
  return letter;
}

Result<std::vector<DeadLetters::Done>> DeadLetters::each(std::span<const MessageId> ids,
                                                         const std::function<Result<void>(const Message&)>& act) {
  std::vector<Done> done;
  const auto is_wanted = [&](const MessageId& id) {
    if (std::ranges::find(done, id, &Done::id) != done.end()) return false;
    return ids.empty() || std::ranges::find(ids, id) != ids.end();
  };
  const auto visit = [&](const Message& message) {
    if (!is_wanted(message.id)) return Then::keep;
    const auto acted = act(message);
    const auto address = find_reply_address(message.body);
    done.push_back({.id = message.id, .job = address ? address->job : JobId(), .error = {}});
    if (acted) return Then::gone;
    done.back().error = acted.error();
    return Then::keep;
  };
  const auto looked = look(kDeadLettersLookedAt, visit, [&] { return !ids.empty() && done.size() >= ids.size(); });
  if (!looked && done.empty()) return fail(looked.error());
  for (const MessageId& id : ids) {
    if (std::ranges::find(done, id, &Done::id) != done.end()) continue;
    const Error unknown{ErrorKind::not_found, "unknown_dead_letter",
                        "There is no dead letter of this id, or somebody else looks at it right now."};
    done.push_back({.id = id, .job = {}, .error = unknown});
  }
  return done;
}

Result<std::vector<DeadLetters::Done>> DeadLetters::redrive(std::span<const MessageId> ids) {
  return each(ids, [this](const Message& message) { return send_again(message); });
}

Result<std::vector<DeadLetters::Done>> DeadLetters::drop(std::span<const MessageId> ids) {
  return each(ids, [this](const Message& message) { return remove(message); });
}

// Removed last: whatever fails, the letter is still there.
Result<void> DeadLetters::send_again(const Message& message) {
  OutgoingMessage outgoing;
  outgoing.body = message.body;
  auto request = parse_job_request(message.body);
  if (request) {
    if (request->input.bucket == options_.input_bucket) {
      const auto image = ports_.inputs.head(request->input.key, limits());
      if (!image && image.error().kind == ErrorKind::not_found) {
        return fail(
            ErrorKind::invalid, "image_gone",
            "The image of this request is no longer in the store, so it cannot be sent again. Drop the letter.");
      }
      if (!image) return fail(image.error());
    }
    if (auto forgotten = forget_failures(request->job); !forgotten) return forgotten;
    request->expires_at = ports_.clock.wall_now() + options_.job_ttl;
    if (!options_.reply_to.empty()) request->reply_to = options_.reply_to;
    outgoing.body = to_json(*request);
  }
  if (options_.fifo) {
    outgoing.group_id = request ? request->session.str() : "unreadable";
    // Not the job's: the queue drops what it has seen lately.
    outgoing.dedup_id = "redrive-" + random_hex(ports_.rng, kDedupNonceBytes);
  }
  const auto sent = ports_.requests.send({&outgoing, 1}, limits());
  if (!sent) return fail(sent.error());
  if (!sent->at(0)) return fail(sent->at(0).error());
  log::info("dead letter sent again", {{"message", message.id}});
  if (const auto removed = remove(message); !removed) {
    log::warning("a dead letter that was sent again could not be removed, and comes back",
                 {{"message", message.id}, {"error", describe(removed.error())}});
  }
  return {};
}

// What a worker that gets it again would take for an answer, or count against it.
Result<void> DeadLetters::forget_failures(const JobId& job) {
  const auto result = read_result(ports_.outputs, job, limits());
  if (!result && result.error().kind != ErrorKind::invalid) return fail(result.error());
  if (result && *result) {
    if (state_of(**result) == JobState::done) {
      return fail(ErrorKind::invalid, "job_done", "The job of this letter has labels already. Drop the letter.");
    }
    if (state_of(**result) == JobState::cancelled) {
      return fail(ErrorKind::invalid, "job_cancelled", "A client cancelled the job of this letter. Drop the letter.");
    }
  }
  const auto attempts = ports_.outputs.list("attempts/" + job.str() + ".", "", kAttemptsMax, limits());
  if (!attempts) return fail(attempts.error());
  std::vector<ObjectKey> keys;
  for (const ObjectInfo& attempt : attempts->objects) keys.push_back(attempt.key);
  // Labels that another delivery stores in this moment go too; what is sent again brings them anew.
  if (!result || *result) keys.push_back(result_key(job));
  if (keys.empty()) return {};
  return ports_.outputs.remove(keys, limits());
}

Result<void> DeadLetters::remove(const Message& message) {
  const auto removed = ports_.dead_letters.remove({&message.receipt, 1}, limits());
  if (!removed) return fail(removed.error());
  return removed->at(0);
}

}  // namespace imgrec
