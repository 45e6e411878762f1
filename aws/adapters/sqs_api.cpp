#include "aws/adapters/sqs_api.hpp"

#include <simdjson.h>

#include <charconv>
#include <memory>

#include "aws/client/protocols.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kTarget = "AmazonSQS";
constexpr Millis kControlDeadline{30'000};  // of calls about queues rather than messages
constexpr Millis kPollMargin{10'000};       // beyond the long poll's own wait
// What SQS hands out to a poll that is stopped would be hidden from everybody until its lease ends: where messages are
// waiting, the answer is on its way.
constexpr Millis kStopGrace{250};
constexpr std::uint64_t kReceiveBytesMax = 80 * kMiB;  // ten messages of 1 MiB, escaped
constexpr std::size_t kKeptParserBytesMax = 256 * kKiB;

// One answer. Texts taken from it live as long as it does, or until it reads another.
class Answer {
 public:
  Answer() : parser_(kept() ? std::move(kept()) : std::make_unique<dom::parser>()) {}
  // A parser's buffers are several times an answer's size: those of usual answers are kept for this thread's next call.
  ~Answer() {
    if (parser_->capacity() <= kKeptParserBytesMax) kept() = std::move(parser_);
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  /// False: it is no JSON object.
  bool read(const std::string& text) {
    static const std::string nothing = "{}";
    return parser_->parse(text.empty() ? nothing : text).get(root_) == simdjson::SUCCESS;
  }
  const dom::object& root() const { return root_; }

 private:
  static std::unique_ptr<dom::parser>& kept() {
    thread_local std::unique_ptr<dom::parser> parser;
    return parser;
  }

  std::unique_ptr<dom::parser> parser_;
  dom::object root_;
};

// Empty when there is none.
std::string_view text_of(const dom::object& object, std::string_view name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

std::int64_t number_of(const dom::object& object, std::string_view name) {
  const std::string_view text = text_of(object, name);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Calls take(object) for each object in the list of that name, where there is one.
template <class Take>
void for_each_in(const dom::object& object, std::string_view name, const Take& take) {
  dom::array list;
  if (object[name].get(list) != simdjson::SUCCESS) return;
  for (const dom::element element : list) {
    dom::object entry;
    if (element.get(entry) == simdjson::SUCCESS) take(entry);
  }
}

constexpr std::size_t kBodyBytes = 200;   // of a request, beyond its entries
constexpr std::size_t kEntryBytes = 100;  // of an entry, beyond its message or receipt

void append_list(JsonWriter& json, std::string_view name, std::span<const std::string_view> values) {
  json.begin_list(name);
  for (const std::string_view value : values) json.element(value);
  json.end_list();
}

// True also when SQS gave no digest, or this machine cannot compute one.
bool is_digest_of(std::string_view body, std::string_view md5) {
  if (md5.empty()) return true;
  const std::string own = md5_hex(body);
  return own.empty() || own == md5;
}

// Seconds, as SQS counts; never less than asked for.
std::int64_t whole_seconds(Millis duration) {
  return std::chrono::ceil<Seconds>(duration).count();
}

// Reads the answer while the call can still be tried again.
CallRequest request(const Endpoint& endpoint, const char* operation, JsonWriter& body, Answer& answer) {
  CallRequest out = json_call({"sqs", operation}, endpoint, kTarget, body.end_object().finish());
  out.check = [&answer, operation](const HttpClientResponse& response) -> Result<void> {
    if (answer.read(response.body)) return {};
    return fail(ErrorKind::transient, "bad_response",
                display_name({"sqs", operation}) +
                    " failed: the answer is cut off, or not from SQS. Check proxies on the way.");
  };
  return out;
}

SqsOutcome refused(const CallName& name, const dom::object& entry) {
  bool sender_fault = false;
  if (entry["SenderFault"].get(sender_fault) != simdjson::SUCCESS) sender_fault = false;
  const std::string code(text_of(entry, "Code"));
  Classified classified = classify(name, sender_fault ? 400 : 500,
                                   {.code = code, .message = std::string(text_of(entry, "Message")), .request_id = {}});
  // "ReceiptHandleIsInvalid" is for what is no receipt at all; a receipt that is too old is an "InvalidParameterValue".
  if (code == "InvalidParameterValue" && name.operation != "SendMessageBatch") {
    classified.error.kind = ErrorKind::not_found;
    classified.error.code = "stale_receipt";
  }
  const bool again = !sender_fault || is_retryable(classified.error.kind);
  return std::unexpected(SqsRefusal{std::move(classified.error), again});
}

// "Successful" and "Failed" name elements by the ids that they were sent with: their places. accept(entry, place) turns
// what succeeded into its outcome.
template <class Accept>
std::vector<SqsOutcome> read_outcomes(const CallName& name, const Answer& answer, std::size_t count,
                                      const Accept& accept) {
  const SqsRefusal missing{{ErrorKind::transient, "bad_response",
                            display_name(name) + " failed: the answer does not tell what became of a message."},
                           true};
  std::vector<SqsOutcome> out(count, std::unexpected(missing));
  const auto place = [&](const dom::object& entry) {
    const std::int64_t at = number_of(entry, "Id");
    return at >= 0 ? std::min(static_cast<std::size_t>(at), count) : count;
  };
  for_each_in(answer.root(), "Successful", [&](const dom::object& entry) {
    if (const std::size_t at = place(entry); at < count) out[at] = accept(entry, at);
  });
  for_each_in(answer.root(), "Failed", [&](const dom::object& entry) {
    if (const std::size_t at = place(entry); at < count) out[at] = refused(name, entry);
  });
  return out;
}

std::vector<SqsOutcome> read_outcomes(const CallName& name, const Answer& answer, std::size_t count) {
  return read_outcomes(name, answer, count, [](const dom::object&, std::size_t) { return SqsOutcome(); });
}

Message read_message(const dom::object& entry, WallTime received_at) {
  Message out;
  out.id = MessageId(std::string(text_of(entry, "MessageId")));
  out.receipt = Receipt(std::string(text_of(entry, "ReceiptHandle")));
  out.body = text_of(entry, "Body");
  out.sent_at = received_at;
  dom::object attributes;
  if (entry["Attributes"].get(attributes) != simdjson::SUCCESS) return out;
  out.group_id = text_of(attributes, "MessageGroupId");
  out.receive_count = static_cast<int>(number_of(attributes, "ApproximateReceiveCount"));
  if (const auto sent = number_of(attributes, "SentTimestamp"); sent > 0) out.sent_at = WallTime(Millis(sent));
  return out;
}

}  // namespace

Result<SqsApi> SqsApi::open(Session& session) {
  auto endpoint = endpoint_for(session.endpoints(), "sqs");
  if (!endpoint) return fail(endpoint.error());
  return SqsApi(session, *std::move(endpoint));
}

Result<std::string> SqsApi::queue_url(const std::string& name, const CallLimits& limits) {
  JsonWriter body(kBodyBytes);
  body.begin_object().member("QueueName", name);
  Answer answer;
  const auto call = request(endpoint_, "GetQueueUrl", body, answer);
  const CallLimits within = limits.at_most(session_.clock(), kControlDeadline);
  const auto got = caller_.call(call, within.deadline, within.stop);
  if (!got) return fail(got.error().error);
  return std::string(text_of(answer.root(), "QueueUrl"));
}

Result<std::string> SqsApi::create_queue(const NewQueue& queue, const CallLimits& limits) {
  JsonWriter body(kBodyBytes);
  body.begin_object().member("QueueName", queue.name);
  body.begin_object("Attributes");
  for (const auto& [key, value] : queue.attributes) body.member(key, value);
  body.end_object();
  if (!queue.tags.empty()) {
    body.begin_object("tags");  // small in SQS's model, unlike the others
    for (const auto& [key, value] : queue.tags) body.member(key, value);
    body.end_object();
  }
  Answer answer;
  const auto call = request(endpoint_, "CreateQueue", body, answer);
  const CallLimits within = limits.at_most(session_.clock(), kControlDeadline);
  const auto got = caller_.call(call, within.deadline, within.stop);
  if (!got) return fail(got.error().error);
  return std::string(text_of(answer.root(), "QueueUrl"));
}

Result<void> SqsApi::delete_queue(const std::string& url) {
  JsonWriter body(kBodyBytes);
  body.begin_object().member("QueueUrl", url);
  Answer answer;
  const auto call = request(endpoint_, "DeleteQueue", body, answer);
  const auto got = caller_.call(call, Deadline::in(session_.clock(), kControlDeadline), {});
  if (!got) return fail(got.error().error);
  return {};
}

Result<std::map<std::string, std::string>> SqsApi::attributes(const std::string& url,
                                                              const std::vector<std::string>& names,
                                                              const CallLimits& limits) {
  JsonWriter body(kBodyBytes);
  body.begin_object().member("QueueUrl", url);
  append_list(body, "AttributeNames", std::vector<std::string_view>(names.begin(), names.end()));
  Answer answer;
  const auto call = request(endpoint_, "GetQueueAttributes", body, answer);
  const CallLimits within = limits.at_most(session_.clock(), kControlDeadline);
  const auto got = caller_.call(call, within.deadline, within.stop);
  if (!got) return fail(got.error().error);
  std::map<std::string, std::string> out;
  dom::object found;
  if (answer.root()["Attributes"].get(found) != simdjson::SUCCESS) return out;
  for (const dom::key_value_pair pair : found) {
    std::string_view value;
    if (pair.value.get(value) == simdjson::SUCCESS) out.emplace(pair.key, value);
  }
  return out;
}

SqsBatchResult SqsApi::send(const std::string& url, std::span<const OutgoingMessage* const> messages,
                            const CallLimits& limits) {
  std::size_t bytes = kBodyBytes;
  for (const OutgoingMessage* message : messages) bytes += kEntryBytes + message->body.size();
  JsonWriter body(bytes);
  body.begin_object().member("QueueUrl", url);
  body.begin_list("Entries");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const OutgoingMessage& message = *messages[i];
    body.begin_object();
    body.member("Id", std::to_string(i));
    body.member("MessageBody", message.body);
    if (!message.group_id.empty()) body.member("MessageGroupId", message.group_id);
    if (!message.dedup_id.empty()) body.member("MessageDeduplicationId", message.dedup_id);
    if (message.delay > Millis(0)) body.member("DelaySeconds", whole_seconds(message.delay));
    body.end_object();
  }
  body.end_list();
  Answer answer;
  const auto call = request(endpoint_, "SendMessageBatch", body, answer);
  const auto got = caller_.call(call, limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  const auto accept = [&](const dom::object& entry, std::size_t at) -> SqsOutcome {
    const std::string_view md5 = text_of(entry, "MD5OfMessageBody");
    if (is_digest_of(messages[at]->body, md5)) return std::string(text_of(entry, "MessageId"));
    return std::unexpected(SqsRefusal{{ErrorKind::transient, "corrupted_in_transit",
                                       "SQS SendMessageBatch: SQS received another text than was sent. Check the "
                                       "network or its proxies."},
                                      true});
  };
  return read_outcomes(call.name, answer, messages.size(), accept);
}

SqsBatchResult SqsApi::remove(const std::string& url, std::span<const Receipt* const> receipts,
                              const CallLimits& limits) {
  std::size_t bytes = kBodyBytes;
  for (const Receipt* receipt : receipts) bytes += kEntryBytes + receipt->str().size();
  JsonWriter body(bytes);
  body.begin_object().member("QueueUrl", url);
  body.begin_list("Entries");
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    body.begin_object();
    body.member("Id", std::to_string(i));
    body.member("ReceiptHandle", receipts[i]->str());
    body.end_object();
  }
  body.end_list();
  Answer answer;
  const auto call = request(endpoint_, "DeleteMessageBatch", body, answer);
  const auto got = caller_.call(call, limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  return read_outcomes(call.name, answer, receipts.size());
}

SqsBatchResult SqsApi::extend(const std::string& url, std::span<const ReceiptExtension> receipts,
                              const CallLimits& limits) {
  JsonWriter body(kBodyBytes);
  body.begin_object().member("QueueUrl", url);
  body.begin_list("Entries");
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    body.begin_object();
    body.member("Id", std::to_string(i));
    body.member("ReceiptHandle", receipts[i].receipt->str());
    body.member("VisibilityTimeout", whole_seconds(receipts[i].visibility));
    body.end_object();
  }
  body.end_list();
  Answer answer;
  const auto call = request(endpoint_, "ChangeMessageVisibilityBatch", body, answer);
  const auto got = caller_.call(call, limits.deadline, limits.stop);
  if (!got) return fail(got.error().error);
  return read_outcomes(call.name, answer, receipts.size());
}

Result<std::vector<Message>> SqsApi::receive(const std::string& url, const ReceiveOptions& options,
                                             std::stop_token stop) {
  std::vector<Message> out;
  if (stop.stop_requested()) return out;
  constexpr std::string_view kAttributes[] = {"ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"};
  JsonWriter body(2 * kBodyBytes);
  body.begin_object().member("QueueUrl", url);
  body.member("MaxNumberOfMessages", options.messages_max);
  body.member("WaitTimeSeconds", whole_seconds(options.wait));
  body.member("VisibilityTimeout", whole_seconds(options.visibility));
  append_list(body, "MessageSystemAttributeNames", kAttributes);
  Answer answer;
  auto call = request(endpoint_, "ReceiveMessage", body, answer);
  call.long_poll = true;
  call.timeout = options.wait + kPollMargin;
  call.stop_grace = kStopGrace;
  call.response_bytes_max = kReceiveBytesMax;
  const auto got = caller_.call(call, Deadline::in(session_.clock(), 2 * call.timeout), stop);
  if (!got && got.error().error.kind == ErrorKind::cancelled) return out;
  if (!got) return fail(got.error().error);
  for_each_in(answer.root(), "Messages", [&](const dom::object& entry) {
    Message message = read_message(entry, session_.clock().wall_now());
    if (message.receipt.empty() || !is_digest_of(message.body, text_of(entry, "MD5OfBody"))) {
      log::warning("a message arrived damaged and is left for its next delivery", {{"message", message.id}});
      return;
    }
    out.push_back(std::move(message));
  });
  return out;
}

}  // namespace imgrec::aws
