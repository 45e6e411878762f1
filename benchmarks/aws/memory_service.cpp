// SQS and S3 in memory, for measuring the roles on AWS's wire: queues and objects are the tests' in-memory ports, so
// their semantics (visibility, long poll, one write only) are those that the contract tests check. Signatures are not
// verified. Queues and buckets are there as soon as they are named.
//   memory_service [LATENCY_MS]      prints its port, and serves until its standard input ends
// Each call takes LATENCY_MS (0) before it is answered, as a network does. POST /-/calls answers the number of calls by
// operation since the last time, as JSON: {"sqs ReceiveMessage": 12, "s3 PUT": 30, "put results": 10, …}; "in-flight"
// and "visible" are what is left in all queues but that of signals.
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "lib/http/server/server.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"

namespace {

using namespace imgrec;
using nlohmann::json;

constexpr int kConnectionsMax = 1024;
constexpr int kCallsMax = 256;  // under way at a time; a long poll is one of them
constexpr std::uint64_t kObjectBytesMax = 64 * kMiB;
constexpr std::string_view kTarget = "AmazonSQS.";

Response json_response(const json& body, int status = 200) {
  return {.status = status, .content_type = "application/x-amz-json-1.0", .headers = {}, .body = body.dump()};
}

Response sqs_error(const std::string& code, const std::string& message) {
  return json_response({{"__type", "com.amazonaws.sqs#" + code}, {"message", message}}, 400);
}

Response s3_error(int status, const std::string& code) {
  return {.status = status,
          .content_type = "application/xml",
          .headers = {},
          .body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>" + code + "</Code><Message>" + code +
                  "</Message></Error>"};
}

/// Thread-safe.
class Service {
 public:
  Service(Clock& clock, Millis latency) : clock_(clock), latency_(latency), queues_(clock), objects_(clock) {}

  Response answer(const Request& request) {
    if (request.path == "/-/calls") return json_response(take_counts());
    clock_.sleep_for(latency_, {});
    if (const auto target = request.header("x-amz-target"); target && target->starts_with(kTarget)) {
      return sqs(std::string(target->substr(kTarget.size())), request);
    }
    count("s3 " + request.method);
    return s3(request);
  }

 private:
  void count(const std::string& call) {
    std::lock_guard lock(mutex_);
    ++counts_[call];
  }
  // "put inputs", "removed inputs": by the folder that an object's name begins with, behind the bucket.
  void count_object(const char* what, const ObjectKey& key) {
    const auto parts = split(key.str(), '/');
    if (parts.size() > 2) count(what + std::string(parts[1]));
  }
  json take_counts();
  std::shared_ptr<test::MemoryQueue> queue_of(const json& call);
  Response sqs(const std::string& operation, const Request& request);
  json receive(test::MemoryQueue& queue, const json& call);
  json send(test::MemoryQueue& queue, const json& call);
  Response send_one(test::MemoryQueue& queue, const json& call);
  json change(test::MemoryQueue& queue, const json& call, bool extends);
  Response s3(const Request& request);
  Response delete_objects(const Request& request);

  Clock& clock_;
  const Millis latency_;
  test::MemoryQueues queues_;
  test::MemoryStore objects_;
  std::mutex mutex_;
  std::map<std::string, int> counts_;
  std::map<std::string, std::shared_ptr<test::MemoryQueue>> opened_;
};

json Service::take_counts() {
  std::lock_guard lock(mutex_);
  json out = std::exchange(counts_, {});
  std::uint64_t visible = 0, in_flight = 0;
  for (const auto& [name, queue] : opened_) {
    if (name == "imgrec-signals") continue;  // a controller takes those, and none runs here
    const auto depth = queue->depth();
    visible += depth->visible;
    in_flight += depth->in_flight;
  }
  out["visible"] = visible;
  out["in-flight"] = in_flight;
  return out;
}

// "http://…/000000000000/NAME"
std::shared_ptr<test::MemoryQueue> Service::queue_of(const json& call) {
  const std::string url = call.value("QueueUrl", "");
  const std::string name = url.substr(url.rfind('/') + 1);
  std::lock_guard lock(mutex_);
  auto& queue = opened_[name];
  if (!queue) queue = queues_.queue(name);
  return queue;
}

Response Service::sqs(const std::string& operation, const Request& request) {
  const json call = json::parse(request.body, nullptr, false);
  if (!call.is_object()) return sqs_error("InvalidParameterValue", "The body is no JSON object.");
  if (operation == "GetQueueUrl") {
    count("sqs " + operation);
    const std::string host(request.header("host").value_or("127.0.0.1"));
    return json_response({{"QueueUrl", "http://" + host + "/000000000000/" + call.value("QueueName", "")}});
  }
  const auto queue = queue_of(call);
  if (operation == "ReceiveMessage") {
    const Response response = json_response(receive(*queue, call));
    count("sqs " + operation);  // when it ends: a long poll belongs to what it brought
    return response;
  }
  count("sqs " + operation);
  if (operation == "SendMessage") return send_one(*queue, call);
  if (operation == "SendMessageBatch") return json_response(send(*queue, call));
  if (operation == "DeleteMessageBatch") return json_response(change(*queue, call, false));
  if (operation == "ChangeMessageVisibilityBatch") return json_response(change(*queue, call, true));
  return sqs_error("UnsupportedOperation", "This service does not know " + operation + ".");
}

json Service::receive(test::MemoryQueue& queue, const json& call) {
  const auto got = queue.receive({.messages_max = call.value("MaxNumberOfMessages", 1),
                                  .wait = Seconds(call.value("WaitTimeSeconds", 0)),
                                  .visibility = Seconds(call.value("VisibilityTimeout", 30))},
                                 {});
  json messages = json::array();
  if (!got) return {{"Messages", messages}};
  for (const Message& message : *got) {
    const auto sent = std::chrono::duration_cast<Millis>(message.sent_at.time_since_epoch()).count();
    messages.push_back({{"MessageId", message.id.str()},
                        {"ReceiptHandle", message.receipt.str()},
                        {"Body", message.body},
                        {"MD5OfBody", md5_hex(message.body)},
                        {"Attributes",
                         {{"ApproximateReceiveCount", std::to_string(message.receive_count)},
                          {"SentTimestamp", std::to_string(sent)}}}});
  }
  return {{"Messages", messages}};
}

json Service::send(test::MemoryQueue& queue, const json& call) {
  std::vector<OutgoingMessage> messages;
  json successful = json::array();
  for (const json& entry : call.at("Entries")) {
    messages.push_back({.body = entry.at("MessageBody").get<std::string>(), .group_id = {}, .dedup_id = {}});
  }
  const auto sent = queue.send(messages, Deadline::in(clock_, Seconds(10)));
  for (std::size_t i = 0; sent && i < sent->size(); ++i) {
    if (!(*sent)[i]) continue;  // it has no outcome then, which the caller takes for a failure
    successful.push_back({{"Id", call.at("Entries").at(i).at("Id")},
                          {"MessageId", (*sent)[i]->str()},
                          {"MD5OfMessageBody", md5_hex(messages[i].body)}});
  }
  return {{"Successful", successful}, {"Failed", json::array()}};
}

Response Service::send_one(test::MemoryQueue& queue, const json& call) {
  const json sent = send(queue, {{"Entries", {{{"Id", "0"}, {"MessageBody", call.at("MessageBody")}}}}});
  if (sent.at("Successful").empty()) return sqs_error("ServiceUnavailable", "The message could not be queued.");
  return json_response(sent.at("Successful")[0]);
}

json Service::change(test::MemoryQueue& queue, const json& call, bool extends) {
  json successful = json::array(), failed = json::array();
  for (const json& entry : call.at("Entries")) {
    const Receipt receipt(entry.at("ReceiptHandle").get<std::string>());
    const std::span<const Receipt> one(&receipt, 1);
    const auto done =
        extends ? queue.extend(one, Seconds(entry.at("VisibilityTimeout").get<int>())) : queue.remove(one);
    if (done && done->front()) {
      successful.push_back({{"Id", entry.at("Id")}});
    } else {
      failed.push_back({{"Id", entry.at("Id")},
                        {"SenderFault", true},
                        {"Code", "InvalidParameterValue"},
                        {"Message", "The receipt handle has expired."}});
    }
  }
  return {{"Successful", successful}, {"Failed", failed}};
}

// DeleteObjects: <Delete><Object><Key>…</Key></Object>…</Delete>, whose keys here need no escapes.
Response Service::delete_objects(const Request& request) {
  constexpr std::string_view kBegin = "<Key>", kEnd = "</Key>";
  const std::string bucket = request.path.substr(1);
  std::vector<ObjectKey> keys;
  for (std::size_t at = request.body.find(kBegin); at != std::string::npos; at = request.body.find(kBegin, at)) {
    at += kBegin.size();
    const std::size_t end = request.body.find(kEnd, at);
    if (end == std::string::npos) return s3_error(400, "MalformedXML");
    keys.emplace_back(bucket + request.body.substr(at, end - at));
    count_object("removed ", keys.back());
  }
  if (keys.empty() || !objects_.remove(keys)) return s3_error(400, "MalformedXML");
  return {.content_type = "application/xml", .headers = {}, .body = "<DeleteResult/>"};
}

Response Service::s3(const Request& request) {
  const ObjectKey key(request.path.substr(1));
  if (request.method == "PUT") {
    count_object("put ", key);
    const PutOptions options{.only_if_absent = request.header("if-none-match").has_value()};
    const auto put = objects_.put(key, request.body, options);
    if (!put) return s3_error(400, "InvalidArgument");
    if (*put == PutOutcome::already_there) return s3_error(412, "PreconditionFailed");
    return {.headers = {{"ETag", "\"" + md5_hex(request.body) + "\""}}, .body = {}};
  }
  if (request.method == "DELETE") {
    count_object("removed ", key);
    if (!objects_.remove({&key, 1})) return s3_error(400, "InvalidArgument");
    return {.status = 204, .headers = {}, .body = {}};
  }
  if (request.method == "POST" && request.query_value("delete")) return delete_objects(request);
  if (request.method != "GET") return s3_error(405, "MethodNotAllowed");
  auto got = objects_.get(key, kObjectBytesMax);
  if (!got) return s3_error(404, "NoSuchKey");
  return {.content_type = "binary/octet-stream", .headers = {}, .body = std::move(got->bytes)};
}

}  // namespace

int main(int count, char** values) {
  log::configure({.level = log::Level::warning, .role = "memory_service"});
  const Millis latency(count > 1 ? std::atoi(values[1]) : 0);
  Service service(system_clock(), latency);
  // A call blocks (a long poll, the wanted latency), which the server's own thread must not.
  BoundedQueue<std::move_only_function<void()>> calls(kConnectionsMax);
  std::vector<std::thread> threads;
  for (int i = 0; i < kCallsMax; ++i) {
    threads.emplace_back([&] {
      while (auto call = calls.pop()) (*call)();
    });
  }
  Server server({.port = 0, .connections_max = kConnectionsMax}, [&](Request request, Responder responder) {
    calls.try_push([&, asked = std::move(request), held = std::move(responder)]() mutable {
      try {
        held.send(service.answer(asked));
      } catch (const json::exception& error) {
        held.send(sqs_error("InvalidParameterValue", error.what()));
      }
    });
  });
  const auto port = server.start();
  if (!port) {
    std::fprintf(stderr, "memory_service: %s\n", describe(port.error()).c_str());
    return 1;
  }
  std::printf("%d\n", *port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  std::_Exit(0);  // long polls are under way
}
