// A web node on a free port over queues and stores in memory, and a worker that answers as the test says.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "lib/job/job.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/web/web.hpp"
#include "tests/roles/web/http_client.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::test {

/// Bytes that pass for a JPEG at the door; FakeWorker labels them with `content`.
std::string jpeg_of(const std::string& content);

/// What a worker would answer: labels [content, "second", …] up to top_k, or the error when content is "error KIND".
JobResult answer_of(const JobRequest& request, const std::string& image);

/// The machinery around a web node that outlives it, so that a test can restart the node.
struct Backend {
  explicit Backend(const MemoryQueueOptions& queue = {})
      : requests(system_clock(), queue), responses(system_clock(), queue), dead_letters(system_clock(), queue) {}

  MemoryQueue requests, responses, dead_letters;
  MemoryStore inputs{system_clock()};
  const std::shared_ptr<MemoryStore> shared_outputs = std::make_shared<MemoryStore>(system_clock());
  MemoryStore& outputs = *shared_outputs;

  /// Takes up to `count` requests from the queue (waits for them, at most 20 s), in the order sent.
  std::vector<JobRequest> take(int count);
  /// The image of a request, as a worker gets it.
  std::string image_of(const JobRequest& request);
  void store(const JobResult& result);
  void respond(const JobResult& result) { responses.push(to_json(result)); }
  void store_and_respond(const JobResult& result) {
    store(result);
    respond(result);
  }
};

/// With settings that name keys (web.keys_file), they are the object in Backend::outputs.
class WebNode {
 public:
  explicit WebNode(Backend& backend, WebSettings settings = default_settings());
  ~WebNode() { stop(); }
  static WebSettings default_settings();

  int port() const { return port_; }
  HttpReply ask(const HttpAsk& what) const { return http_ask(port_, what); }
  HttpReply get(const std::string& target) const { return ask({.target = target, .headers = {}, .body = {}}); }
  std::future<HttpReply> ask_later(HttpAsk what) const;
  /// The value of a line of /metrics; 0 when there is none.
  double metric(const std::string& name_and_labels) const;

  void request_stop() { thread_.request_stop(); }
  /// Ends the node; its result.
  Result<void> stop();

 private:
  Metrics metrics_;
  WebSettings settings_;
  int port_ = 0;
  Result<void> result_;
  std::jthread thread_;
};

/// Answers every request until it is destroyed.
class FakeWorker {
 public:
  explicit FakeWorker(Backend& backend);

 private:
  std::jthread thread_;
};

/// Polls in real time until it is true, at most 20 s.
bool eventually(const std::function<bool()>& condition);

}  // namespace imgrec::test
