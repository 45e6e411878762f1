#include "tests/roles/web/web_node.hpp"

#include <gtest/gtest.h>

#include "lib/base/digest.hpp"

namespace imgrec::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

constexpr auto kRetry = 20s;
constexpr std::string_view kMagic = "\xFF\xD8\xFF\xE0"sv;

}  // namespace

std::string jpeg_of(const std::string& content) {
  return std::string(kMagic) + content;
}

JobResult answer_of(const JobRequest& request, const std::string& image) {
  JobResult result;
  result.job = request.job;
  result.session = request.session;
  result.owner = request.owner;
  result.name = request.name;
  result.model = {.name = "fake", .sha256 = "00", .engine = "fake", .precision = "f32"};
  result.worker = WorkerId("worker-1");
  result.app_tier_id = "app-tier-1";
  result.completed_at = system_clock().wall_now();
  const std::string content = image.substr(kMagic.size());
  if (sha256_hex(image) != request.input.sha256 || image.size() != request.input.bytes) {
    result.error =
        JobError{.code = "wrong_bytes", .title = "Wrong bytes", .detail = "Not the image sent.", .retryable = false};
  } else if (content.starts_with("error ")) {
    result.error = JobError{.code = content.substr(6), .title = "No", .detail = "It is bad.", .retryable = false};
  } else {
    for (int i = 0; i < request.top_k; ++i) {
      result.labels.push_back({.index = i, .wnid = "", .label = i == 0 ? content : "other", .score = 0.9 / (i + 1)});
    }
  }
  return result;
}

std::vector<JobRequest> Backend::take(int count) {
  std::vector<JobRequest> taken;
  const MonoTime end = system_clock().mono_now() + kRetry;
  while (std::ssize(taken) < count && system_clock().mono_now() < end) {
    const int wanted = std::min(count - static_cast<int>(taken.size()), 10);
    const auto messages = requests.receive({.messages_max = wanted, .wait = 200ms, .visibility = 60s}, {});
    if (!messages) continue;
    for (const Message& message : *messages) {
      taken.push_back(parse_job_request(message.body).value());
      EXPECT_TRUE(requests.remove(std::vector{message.receipt}));
    }
  }
  EXPECT_EQ(std::ssize(taken), count);
  return taken;
}

std::string Backend::image_of(const JobRequest& request) {
  return bytes_of(inputs.get(request.input.key, kMiB)).value_or(jpeg_of("gone"));
}

void Backend::store(const JobResult& result) {
  EXPECT_TRUE(outputs.put(result_key(result.job), to_json(result), {.only_if_absent = true}));
}

WebSettings WebNode::default_settings() {
  WebSettings settings;
  settings.web.port = 0;
  settings.web.drain_timeout = 5s;
  return settings;
}

WebNode::WebNode(Backend& backend, WebSettings settings) : settings_(std::move(settings)) {
  std::promise<int> listening;
  thread_ = std::jthread([&, this](std::stop_token stop) {
    result_ = run_web(settings_,
                      {.requests = backend.requests,
                       .responses = backend.responses,
                       .responses_name = "responses-of-test",
                       .dead_letters = backend.dead_letters,
                       .inputs = backend.inputs,
                       .outputs = backend.outputs,
                       .clock = system_clock(),
                       .rng = system_rng(),
                       .metrics = metrics_,
                       .on_listening = [&](int port) { listening.set_value(port); },
                       .keys = settings_.web.keys_file.empty() ? nullptr : make_key_object(backend.shared_outputs)},
                      std::move(stop));
    if (!result_) listening.set_value(0);
  });
  port_ = listening.get_future().get();
}

std::future<HttpReply> WebNode::ask_later(HttpAsk what) const {
  return std::async(std::launch::async, [port = port_, what = std::move(what)] { return http_ask(port, what); });
}

double WebNode::metric(const std::string& name_and_labels) const {
  const std::string text = "\n" + get("/metrics").body;
  const std::size_t found = text.find("\n" + name_and_labels + " ");
  return found == std::string::npos ? 0 : std::stod(text.substr(found + name_and_labels.size() + 2));
}

Result<void> WebNode::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  return result_;
}

FakeWorker::FakeWorker(Backend& backend)
    : thread_([&backend](std::stop_token stop) {
        while (!stop.stop_requested()) {
          const auto messages = backend.requests.receive({.wait = 20s}, stop);
          if (!messages) continue;
          for (const Message& message : *messages) {
            const JobRequest request = parse_job_request(message.body).value();
            EXPECT_EQ(request.reply_to, "responses-of-test");
            backend.store_and_respond(answer_of(request, backend.image_of(request)));
            EXPECT_TRUE(backend.requests.remove(std::vector{message.receipt}));
          }
        }
      }) {}

bool eventually(const std::function<bool()>& condition) {
  const MonoTime end = system_clock().mono_now() + kRetry;
  while (system_clock().mono_now() < end) {
    if (condition()) return true;
    system_clock().sleep_for(5ms, {});
  }
  return condition();
}

}  // namespace imgrec::test
