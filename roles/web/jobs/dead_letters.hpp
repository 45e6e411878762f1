// The requests that could not be processed: seen and explained, sent again, or dropped. For the people who run the
// service.
//
// A queue cannot list what is in it. So letters are received, hidden for a moment from whoever looks at the same time,
// and given back at once: at most kDeadLettersLookedAt of them.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/rng.hpp"
#include "lib/job/job.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

constexpr std::size_t kDeadLettersLookedAt = 1'000;

struct DeadLetter {
  MessageId id;
  JobId job;              // empty: the message cannot be read
  SessionId session;      // as far as the message can be read
  std::string name;       // as far as the message can be read
  JobError error;         // why it is here
  int receive_count = 0;  // of this letter, by whoever looked at it
  WallTime sent_at{};
  std::uint64_t bytes = 0;  // of the message
};

/// Thread-safe.
class DeadLetters {
 public:
  struct Ports {
    MessageQueue& dead_letters;
    MessageQueue& requests;
    ObjectStore& inputs;
    ObjectStore& outputs;
    Clock& clock;
    Rng& rng;
    std::stop_token abort{};  // requested: calls under way end
  };
  struct Options {
    std::string input_bucket;  // whose images `inputs` holds
    std::string reply_to;      // who is told the result of what is sent again; empty: as the message says
    Millis job_ttl{24 * 3'600'000};
    bool fifo = false;
  };
  DeadLetters(Ports ports, Options options) : ports_(std::move(ports)), options_(std::move(options)) {}

  struct Listing {
    std::vector<DeadLetter> letters;
    bool complete = false;  // else there may be more
  };
  Result<Listing> list(std::size_t letters_max);

  struct Done {
    MessageId id;
    JobId job;
    std::optional<Error> error;  // nothing: it is done. Else the letter stays, unless there is none of this id
  };
  /// Sends the requests again, as new: with their attempts and a stored error forgotten, so that the image gets its
  /// labels. No ids: all. Errors of one: not_found "unknown_dead_letter"; invalid "image_gone", "job_cancelled",
  /// "job_done"; else as of the queues and stores.
  Result<std::vector<Done>> redrive(std::span<const MessageId> ids);
  /// Removes letters for good. The errors that were stored for their jobs stay.
  Result<std::vector<Done>> drop(std::span<const MessageId> ids);

 private:
  enum class Then { keep, gone };
  using Visit = std::function<Then(const Message&)>;
  Result<bool> look(std::size_t letters_max, const Visit& visit, const std::function<bool()>& enough);
  Result<std::vector<Done>> each(std::span<const MessageId> ids,
                                 const std::function<Result<void>(const Message&)>& act);
  Result<void> send_again(const Message& message);
  Result<void> forget_failures(const JobId& job);
  Result<void> remove(const Message& message);
  DeadLetter explain(const Message& message);
  CallLimits limits() const;

  Ports ports_;
  const Options options_;
};

}  // namespace imgrec
