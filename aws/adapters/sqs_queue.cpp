#include "aws/adapters/sqs_queue.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "aws/adapters/sqs_api.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "lib/ports/message_checks.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kCallDeadline{30'000};  // of one call with its retries, whatever its caller allows
constexpr std::size_t kOpenQueuesMax = 1000;
constexpr std::string_view kFifoSuffix = ".fifo";

class SqsQueue final : public MessageQueue {
 public:
  SqsQueue(SqsApi api, std::string url, bool fifo, Session& session)
      : api_(std::move(api)), url_(std::move(url)), fifo_(fifo), session_(session) {}

  Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                              const CallLimits& limits) override;
  Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) override;
  Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                           const CallLimits& limits) override;
  Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts, const CallLimits& limits) override;
  Result<QueueDepth> depth(const CallLimits& limits) override;

 private:
  using Outcomes = Result<std::vector<Result<std::string>>>;

  // One call for all; then one each for those that may yet succeed.
  template <class Item, class Call>
  static Outcomes twice(const std::vector<Item>& items, const Call& call) {
    auto first = call(std::span<const Item>(items));
    if (!first) return fail(first.error());
    std::vector<Result<std::string>> out;
    for (std::size_t i = 0; i < items.size(); ++i) {
      SqsOutcome outcome = std::move((*first)[i]);
      if (!outcome && outcome.error().again) {
        log::debug("an element of a batch is tried again singly", {{"code", outcome.error().error.code}});
        auto second = call(std::span<const Item>(&items[i], 1));
        outcome = second ? std::move(second->front()) : std::unexpected(SqsRefusal{second.error()});
      }
      if (outcome) {
        out.emplace_back(*std::move(outcome));
      } else {
        out.emplace_back(fail(std::move(outcome.error().error)));
      }
    }
    return out;
  }

  static Result<std::vector<Result<void>>> without_values(const Outcomes& outcomes) {
    if (!outcomes) return fail(outcomes.error());
    std::vector<Result<void>> out;
    for (const auto& one : *outcomes) out.push_back(one ? Result<void>() : Result<void>(fail(one.error())));
    return out;
  }

  CallLimits bounded(const CallLimits& limits) const { return limits.at_most(session_.clock(), kCallDeadline); }

  SqsApi api_;
  const std::string url_;
  const bool fifo_;
  Session& session_;
  std::atomic<bool> is_uncounted_said_ = false;
};

Result<std::vector<Result<MessageId>>> SqsQueue::send(std::span<const OutgoingMessage> messages,
                                                      const CallLimits& limits) {
  if (auto batch = check_batch(messages.size()); !batch) return fail(batch.error());
  std::vector<Result<MessageId>> out;
  std::vector<const OutgoingMessage*> good;
  std::size_t bytes = 0;
  for (const OutgoingMessage& message : messages) {
    if (auto checked = check_message(message, fifo_); !checked) {
      out.emplace_back(fail(checked.error()));
      continue;
    }
    out.emplace_back();
    good.push_back(&message);
    bytes += message.body.size();
  }
  if (auto checked = check_batch_bytes(bytes); !checked) return fail(checked.error());
  if (good.empty()) return out;
  const CallLimits within = bounded(limits);
  auto sent = twice(good, [&](auto some) { return api_.send(url_, some, within); });
  if (!sent) return fail(sent.error());
  auto next = sent->begin();
  for (auto& outcome : out) {
    if (!outcome) continue;
    outcome = *next ? Result<MessageId>(MessageId(**next)) : Result<MessageId>(fail(next->error()));
    ++next;
  }
  return out;
}

Result<std::vector<Message>> SqsQueue::receive(const ReceiveOptions& options, std::stop_token stop) {
  if (auto checked = check_receive(options); !checked) return fail(checked.error());
  auto got = api_.receive(url_, options, std::move(stop));
  if (got && !got->empty() && got->front().receive_count == 0 && !is_uncounted_said_.exchange(true)) {
    log::warning("the queue tells no receive counts: each image is worked on alone, as if it had ended a worker before",
                 {{"queue", url_}});
  }
  return got;
}

Result<std::vector<Result<void>>> SqsQueue::extend(std::span<const Receipt> receipts, Millis visibility,
                                                   const CallLimits& limits) {
  if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
  if (auto checked = check_visibility(visibility); !checked) return fail(checked.error());
  std::vector<ReceiptExtension> items;
  for (const Receipt& receipt : receipts) items.push_back({&receipt, visibility});
  const CallLimits within = bounded(limits);
  return without_values(twice(items, [&](auto some) { return api_.extend(url_, some, within); }));
}

Result<std::vector<Result<void>>> SqsQueue::remove(std::span<const Receipt> receipts, const CallLimits& limits) {
  if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
  std::vector<const Receipt*> items;
  for (const Receipt& receipt : receipts) items.push_back(&receipt);
  const CallLimits within = bounded(limits);
  return without_values(twice(items, [&](auto some) { return api_.remove(url_, some, within); }));
}

Result<QueueDepth> SqsQueue::depth(const CallLimits& limits) {
  const auto got = api_.attributes(
      url_,
      {"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"},
      limits);
  if (!got) return fail(got.error());
  QueueDepth out;
  const auto read = [&](const char* name, std::uint64_t& value) {
    const auto found = got->find(name);
    if (found == got->end()) return false;
    const char* end = found->second.data() + found->second.size();
    return std::from_chars(found->second.data(), end, value).ptr == end;
  };
  // A number that is not there is not 0.
  if (read("ApproximateNumberOfMessages", out.visible) &&
      read("ApproximateNumberOfMessagesNotVisible", out.in_flight) &&
      read("ApproximateNumberOfMessagesDelayed", out.delayed)) {
    return out;
  }
  return fail(ErrorKind::transient, "bad_response", "SQS GetQueueAttributes failed: the answer lacks a queue's depth.");
}

// "arn:aws:sqs:us-east-1:123456789012:NAME"
std::string name_of_arn(const std::string& arn) {
  return arn.substr(arn.rfind(':') + 1);
}

// "1234abcd-…" of "arn:aws:kms:us-east-1:123456789012:key/1234abcd-…"; "alias/x" of ":alias/x". An alias and the id of
// its key are told apart only by KMS.
std::string key_name_of(const std::string& key) {
  const std::string name = name_of_arn(key);
  return name.starts_with("key/") ? name.substr(4) : name;
}

struct Redrive {
  std::string dead_letter;  // as SQS calls it
  int receives_max = 0;
};

// maxReceiveCount is a number or a string, depending on who wrote it.
Redrive parse_redrive(const std::string& policy) {
  const auto document = nlohmann::json::parse(policy, nullptr, false);
  Redrive out;
  if (!document.is_object()) return out;
  const auto target = document.find("deadLetterTargetArn"), count = document.find("maxReceiveCount");
  if (target != document.end() && target->is_string()) out.dead_letter = name_of_arn(target->get<std::string>());
  if (count != document.end() && count->is_number_integer()) out.receives_max = count->get<int>();
  if (count != document.end() && count->is_string()) {
    const auto text = count->get<std::string>();
    std::from_chars(text.data(), text.data() + text.size(), out.receives_max);
  }
  return out;
}

class SqsQueues final : public QueueDirectory {
 public:
  SqsQueues(Session& session, SqsRules rules) : session_(session), rules_(std::move(rules)) {}

  Result<std::shared_ptr<MessageQueue>> open(const std::string& name, const CallLimits& limits) override {
    if (auto found = find(name)) return found;
    const auto options = rules_.options_of(name);
    if (!options) return fail(ErrorKind::not_found, "no_such_queue", "There is no queue " + json_quote(name) + ".");
    // One at a time: two threads that open the same name make one queue.
    std::lock_guard opening(opening_);
    if (auto found = find(name)) return found;
    auto api = SqsApi::open(session_);
    if (!api) return fail(api.error());
    auto url = set_up({*api, limits}, name, *options);
    if (!url) return fail(url.error());
    auto queue = std::make_shared<SqsQueue>(*api, *std::move(url), options->fifo, session_);
    std::lock_guard lock(mutex_);
    if (open_.size() >= kOpenQueuesMax)
      std::erase_if(open_, [](const auto& one) { return one.second.use_count() == 1; });
    open_.emplace(name, queue);
    return queue;
  }

 private:
  struct Opening {
    SqsApi& api;
    const CallLimits& limits;
  };

  std::shared_ptr<MessageQueue> find(const std::string& name) {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(name);
    return found == open_.end() ? nullptr : found->second;
  }

  // The queue's URL, with the queue as its options want it.
  Result<std::string> set_up(const Opening& opening, const std::string& name, const SqsQueueOptions& options);
  Result<std::string> create(const Opening& opening, const std::string& name, const std::string& sqs_name,
                             const SqsQueueOptions& options);
  Result<void> check(const Opening& opening, const std::string& url, const std::string& sqs_name,
                     const SqsQueueOptions& options);
  Result<std::string> dead_letter_arn(const Opening& opening, const SqsQueueOptions& options);

  Session& session_;
  const SqsRules rules_;
  std::mutex opening_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MessageQueue>> open_;
};

// "A queue name can have up to 80 characters … alphanumeric characters, hyphens (-), and underscores (_). The name of a
// FIFO queue must end with the .fifo suffix."
Result<std::string> sqs_name_of(const std::string& name, bool fifo) {
  std::string_view base = name;
  if (fifo && base.ends_with(kFifoSuffix)) base.remove_suffix(kFifoSuffix.size());
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  std::string out = std::string(base) + (fifo ? std::string(kFifoSuffix) : "");
  if (base.empty() || out.size() > 80 || base.find_first_not_of(kAllowed) != std::string_view::npos) {
    return fail(ErrorKind::invalid, "bad_queue_name",
                "The queue name " + json_quote(name.substr(0, 100)) +
                    " is none on SQS: 1 to 80 letters, digits, - and _ (.fifo of a FIFO queue included).");
  }
  return out;
}

Result<std::string> SqsQueues::set_up(const Opening& opening, const std::string& name, const SqsQueueOptions& options) {
  const auto sqs_name = sqs_name_of(name, options.fifo);
  if (!sqs_name) return fail(sqs_name.error());
  auto url = opening.api.queue_url(*sqs_name, opening.limits);
  if (!url && url.error().kind == ErrorKind::not_found && options.setup == QueueSetup::create) {
    return create(opening, name, *sqs_name, options);
  }
  if (!url) return fail(url.error());
  if (options.setup != QueueSetup::use) {
    if (auto checked = check(opening, *url, *sqs_name, options); !checked) return fail(checked.error());
  }
  return url;
}

Result<std::string> SqsQueues::create(const Opening& opening, const std::string& name, const std::string& sqs_name,
                                      const SqsQueueOptions& options) {
  std::map<std::string, std::string> attributes = {
      {"VisibilityTimeout", std::to_string(std::chrono::ceil<Seconds>(options.visibility).count())},
      {"MessageRetentionPeriod", std::to_string(options.retention.count())},
      {"ReceiveMessageWaitTimeSeconds", "20"}};
  if (options.fifo) attributes["FifoQueue"] = "true";
  if (options.kms_key.empty()) {
    attributes["SqsManagedSseEnabled"] = "true";
  } else {
    attributes["KmsMasterKeyId"] = options.kms_key;
  }
  if (options.receives_max > 0) {
    const auto arn = dead_letter_arn(opening, options);
    if (!arn) return fail(arn.error());
    attributes["RedrivePolicy"] =
        nlohmann::json{{"deadLetterTargetArn", *arn}, {"maxReceiveCount", std::to_string(options.receives_max)}}.dump();
  }
  auto url = opening.api.create_queue({.name = sqs_name, .attributes = std::move(attributes), .tags = options.tags},
                                      opening.limits);
  if (!url) return url;
  log::info("queue created", {{"queue", name}});
  session_.clock().sleep_for(rules_.settle, opening.limits.stop);
  return url;
}

Result<std::string> SqsQueues::dead_letter_arn(const Opening& opening, const SqsQueueOptions& options) {
  const auto dead = rules_.options_of(options.dead_letter);
  if (!dead || dead->receives_max > 0) {
    return fail(ErrorKind::invalid, "bad_dead_letter_queue",
                "The dead-letter queue " + json_quote(options.dead_letter) +
                    " is not configured, or has a dead-letter queue itself.");
  }
  auto url = set_up(opening, options.dead_letter, *dead);
  if (!url) return url;
  auto attributes = opening.api.attributes(*url, {"QueueArn"}, opening.limits);
  if (!attributes) return fail(attributes.error());
  return (*attributes)["QueueArn"];
}

Result<void> SqsQueues::check(const Opening& opening, const std::string& url, const std::string& sqs_name,
                              const SqsQueueOptions& options) {
  std::vector<std::string> names = {"RedrivePolicy"};
  if (!options.kms_key.empty()) names.emplace_back("KmsMasterKeyId");
  auto attributes = opening.api.attributes(url, names, opening.limits);
  if (!attributes) return fail(attributes.error());
  if (!options.kms_key.empty() && key_name_of((*attributes)["KmsMasterKeyId"]) != key_name_of(options.kms_key)) {
    const std::string& found_key = (*attributes)["KmsMasterKeyId"];
    return fail(ErrorKind::invalid, "queue_differs",
                "The SQS queue " + sqs_name + " is encrypted with " +
                    (found_key.empty() ? "no key of KMS" : "the key " + found_key) + ", but is configured to have " +
                    options.kms_key + ". Change the queue's encryption or the configuration.");
  }
  const Redrive found = parse_redrive((*attributes)["RedrivePolicy"]);
  Redrive wanted{.dead_letter = {}, .receives_max = options.receives_max};
  if (options.receives_max > 0) {
    auto dead = sqs_name_of(options.dead_letter, options.fifo);
    if (!dead) return fail(dead.error());
    wanted.dead_letter = *std::move(dead);
  }
  if (found.receives_max == wanted.receives_max && found.dead_letter == wanted.dead_letter) return {};
  const auto say = [](const Redrive& one) {
    if (one.receives_max == 0) return std::string("no dead-letter queue");
    return "dead-letter queue " + one.dead_letter + " after " + std::to_string(one.receives_max) + " deliveries";
  };
  return fail(ErrorKind::invalid, "queue_differs",
              "The SQS queue " + sqs_name + " has " + say(found) + ", but is configured to have " + say(wanted) +
                  ". Change its redrive policy or the configuration.");
}

}  // namespace

std::unique_ptr<QueueDirectory> open_sqs_queues(Session& session, SqsRules rules) {
  return std::make_unique<SqsQueues>(session, std::move(rules));
}

Result<void> delete_sqs_queue(Session& session, const std::string& name, const SqsQueueOptions& options) {
  const auto sqs_name = sqs_name_of(name, options.fifo);
  if (!sqs_name) return fail(sqs_name.error());
  auto api = SqsApi::open(session);
  if (!api) return fail(api.error());
  const auto url = api->queue_url(*sqs_name);
  if (!url && url.error().kind == ErrorKind::not_found) return {};
  if (!url) return fail(url.error());
  return api->delete_queue(*url);
}

}  // namespace imgrec::aws
