#include "aws/sqs_api.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "aws/encoding.hpp"
#include "aws/protocols.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

using nlohmann::json;

constexpr std::string_view kTarget = "AmazonSQS";
constexpr Millis kControlDeadline{30'000};             // of calls about queues rather than messages
constexpr Millis kPollMargin{10'000};                  // beyond the long poll's own wait
constexpr std::uint64_t kReceiveBytesMax = 80 * kMiB;  // ten messages of 1 MiB, escaped

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t number_of(const json& object, const char* name) {
  const std::string text = text_of(object, name);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

const json& list_of(const json& object, const char* name) {
  static const json nothing = json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : nothing;
}

// Seconds, as SQS counts; never less than asked for.
std::int64_t whole_seconds(Millis duration) {
  return std::chrono::ceil<Seconds>(duration).count();
}

// Reads the answer while the call can still be tried again.
CallRequest request(const Endpoint& endpoint, const char* operation, const json& body, json& answer) {
  CallRequest out = json_call({"sqs", operation}, endpoint, kTarget, body.dump());
  out.check = [&answer, name = out.name](const HttpClientResponse& response) -> Result<void> {
    answer = response.body.empty() ? json::object() : json::parse(response.body, nullptr, false);
    if (answer.is_object()) return {};
    return fail(ErrorKind::transient, "bad_response",
                display_name(name) + " failed: the answer is cut off, or not from SQS. Check proxies on the way.");
  };
  return out;
}

// Damaged on the way, one way or the other. Where there is no MD5 here, the connection's own checks have to do.
bool is_md5_of(const std::string& md5, const std::string& body) {
  const std::string own = md5_hex(body);
  return md5.empty() || own.empty() || md5 == own;
}

SqsOutcome refused(const CallName& name, const json& entry) {
  const bool sender_fault = entry.value("SenderFault", false);
  Classified classified =
      classify(name, sender_fault ? 400 : 500,
               {.code = text_of(entry, "Code"), .message = text_of(entry, "Message"), .request_id = {}});
  // "ReceiptHandleIsInvalid" is for what is no receipt at all; a receipt that is too old is an "InvalidParameterValue".
  if (text_of(entry, "Code") == "InvalidParameterValue" && name.operation != "SendMessageBatch") {
    classified.error.kind = ErrorKind::not_found;
    classified.error.code = "stale_receipt";
  }
  const bool again = !sender_fault || is_retryable(classified.error.kind);
  return std::unexpected(SqsRefusal{std::move(classified.error), again});
}

// "Successful" and "Failed" name elements by the ids that they were sent with: their places.
std::vector<SqsOutcome> read_outcomes(const CallName& name, const json& answer, std::size_t count) {
  const SqsRefusal missing{{ErrorKind::transient, "bad_response",
                            display_name(name) + " failed: the answer does not tell what became of a message."},
                           true};
  std::vector<SqsOutcome> out(count, std::unexpected(missing));
  const auto place = [&](const json& entry) -> SqsOutcome* {
    const std::int64_t at = number_of(entry, "Id");
    return at >= 0 && at < static_cast<std::int64_t>(count) ? &out[static_cast<std::size_t>(at)] : nullptr;
  };
  for (const json& entry : list_of(answer, "Successful")) {
    if (SqsOutcome* outcome = place(entry)) *outcome = text_of(entry, "MessageId");
  }
  for (const json& entry : list_of(answer, "Failed")) {
    if (SqsOutcome* outcome = place(entry)) *outcome = refused(name, entry);
  }
  return out;
}

Message read_message(const json& entry) {
  const auto found = entry.find("Attributes");
  const json attributes = found != entry.end() && found->is_object() ? *found : json::object();
  Message out;
  out.id = MessageId(text_of(entry, "MessageId"));
  out.receipt = Receipt(text_of(entry, "ReceiptHandle"));
  out.body = text_of(entry, "Body");
  out.group_id = text_of(attributes, "MessageGroupId");
  out.receive_count = static_cast<int>(number_of(attributes, "ApproximateReceiveCount"));
  out.sent_at = WallTime(Millis(number_of(attributes, "SentTimestamp")));
  return out;
}

}  // namespace

Result<SqsApi> SqsApi::open(Session& session) {
  auto endpoint = endpoint_for(session.endpoints(), "sqs");
  if (!endpoint) return fail(endpoint.error());
  return SqsApi(session, *std::move(endpoint));
}

Result<std::string> SqsApi::queue_url(const std::string& name) {
  json answer;
  const auto call = request(endpoint_, "GetQueueUrl", {{"QueueName", name}}, answer);
  const auto got = caller_.call(call, Deadline::in(session_.clock(), kControlDeadline), {});
  if (!got) return fail(got.error().error);
  return text_of(answer, "QueueUrl");
}

Result<std::string> SqsApi::create_queue(const std::string& name,
                                         const std::map<std::string, std::string>& attributes) {
  json answer;
  const auto call = request(endpoint_, "CreateQueue", {{"QueueName", name}, {"Attributes", attributes}}, answer);
  const auto got = caller_.call(call, Deadline::in(session_.clock(), kControlDeadline), {});
  if (!got) return fail(got.error().error);
  return text_of(answer, "QueueUrl");
}

Result<void> SqsApi::delete_queue(const std::string& url) {
  json answer;
  const auto call = request(endpoint_, "DeleteQueue", {{"QueueUrl", url}}, answer);
  const auto got = caller_.call(call, Deadline::in(session_.clock(), kControlDeadline), {});
  if (!got) return fail(got.error().error);
  return {};
}

Result<std::map<std::string, std::string>> SqsApi::attributes(const std::string& url,
                                                              const std::vector<std::string>& names) {
  json answer;
  const auto call = request(endpoint_, "GetQueueAttributes", {{"QueueUrl", url}, {"AttributeNames", names}}, answer);
  const auto got = caller_.call(call, Deadline::in(session_.clock(), kControlDeadline), {});
  if (!got) return fail(got.error().error);
  std::map<std::string, std::string> out;
  const auto found = answer.find("Attributes");
  if (found == answer.end() || !found->is_object()) return out;
  for (const auto& [name, value] : found->items()) {
    if (value.is_string()) out.emplace(name, value.get<std::string>());
  }
  return out;
}

SqsBatchResult SqsApi::send(const std::string& url, std::span<const OutgoingMessage* const> messages,
                            Deadline deadline) {
  json entries = json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const OutgoingMessage& message = *messages[i];
    json entry = {{"Id", std::to_string(i)}, {"MessageBody", message.body}};
    if (!message.group_id.empty()) entry["MessageGroupId"] = message.group_id;
    if (!message.dedup_id.empty()) entry["MessageDeduplicationId"] = message.dedup_id;
    if (message.delay > Millis(0)) entry["DelaySeconds"] = whole_seconds(message.delay);
    entries.push_back(std::move(entry));
  }
  json answer;
  const auto call =
      request(endpoint_, "SendMessageBatch", {{"QueueUrl", url}, {"Entries", std::move(entries)}}, answer);
  const auto got = caller_.call(call, deadline, {});
  if (!got) return fail(got.error().error);
  auto outcomes = read_outcomes(call.name, answer, messages.size());
  for (const json& entry : list_of(answer, "Successful")) {
    const auto at = static_cast<std::size_t>(number_of(entry, "Id"));
    if (at >= messages.size() || is_md5_of(text_of(entry, "MD5OfMessageBody"), messages[at]->body)) continue;
    outcomes[at] = std::unexpected(SqsRefusal{{ErrorKind::transient, "corrupted_in_transit",
                                               "SQS SendMessageBatch: SQS received another text than was sent. Check "
                                               "the network or its proxies."},
                                              true});
  }
  return outcomes;
}

SqsBatchResult SqsApi::remove(const std::string& url, std::span<const Receipt* const> receipts, Deadline deadline) {
  json entries = json::array();
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    entries.push_back({{"Id", std::to_string(i)}, {"ReceiptHandle", receipts[i]->str()}});
  }
  json answer;
  const auto call =
      request(endpoint_, "DeleteMessageBatch", {{"QueueUrl", url}, {"Entries", std::move(entries)}}, answer);
  const auto got = caller_.call(call, deadline, {});
  if (!got) return fail(got.error().error);
  return read_outcomes(call.name, answer, receipts.size());
}

SqsBatchResult SqsApi::extend(const std::string& url, std::span<const ReceiptExtension> receipts, Deadline deadline) {
  json entries = json::array();
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    entries.push_back({{"Id", std::to_string(i)},
                       {"ReceiptHandle", receipts[i].receipt->str()},
                       {"VisibilityTimeout", whole_seconds(receipts[i].visibility)}});
  }
  json answer;
  const auto call =
      request(endpoint_, "ChangeMessageVisibilityBatch", {{"QueueUrl", url}, {"Entries", std::move(entries)}}, answer);
  const auto got = caller_.call(call, deadline, {});
  if (!got) return fail(got.error().error);
  return read_outcomes(call.name, answer, receipts.size());
}

Result<std::vector<Message>> SqsApi::receive(const std::string& url, const ReceiveOptions& options,
                                             std::stop_token stop) {
  std::vector<Message> out;
  if (stop.stop_requested()) return out;
  json answer;
  auto call = request(endpoint_, "ReceiveMessage",
                      {{"QueueUrl", url},
                       {"MaxNumberOfMessages", options.messages_max},
                       {"WaitTimeSeconds", whole_seconds(options.wait)},
                       {"VisibilityTimeout", whole_seconds(options.visibility)},
                       {"MessageSystemAttributeNames", {"ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"}}},
                      answer);
  call.long_poll = true;
  call.timeout = options.wait + kPollMargin;
  call.response_bytes_max = kReceiveBytesMax;
  const auto got = caller_.call(call, Deadline::in(session_.clock(), 2 * call.timeout), stop);
  if (!got && got.error().error.kind == ErrorKind::cancelled) return out;
  if (!got) return fail(got.error().error);
  for (const json& entry : list_of(answer, "Messages")) {
    Message message = read_message(entry);
    if (message.receipt.empty() || !is_md5_of(text_of(entry, "MD5OfBody"), message.body)) {
      log::warning("a message arrived damaged and is left for its next delivery", {{"message", message.id}});
      continue;
    }
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace imgrec::aws
