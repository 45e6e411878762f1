// Our client's calls to the server at AWS_ENDPOINT_URL: one JSON line for each kind, as boto3_client.py prints.
//   aws_client_benchmark SECONDS [CALL]   sign, send, receive, delete, put, get; or only the one whose name has CALL in
//   it aws_client_benchmark calls COUNT      that many calls of all kinds, and the memory before and after
#include <sys/resource.h>

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/environment.hpp"

namespace {

using namespace imgrec;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long resident_kib() {
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "%s\n", describe(error).c_str());
  std::exit(1);
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error());
  return *std::move(result);
}

void measure(const char* name, Millis duration, const std::function<void()>& call) {
  for (int i = 0; i < 50; ++i) call();
  const MonoTime begin = system_clock().mono_now();
  const double cpu = cpu_seconds();
  long calls = 0;
  while (system_clock().mono_now() - begin < duration) {
    for (int i = 0; i < 20; ++i) call();
    calls += 20;
  }
  std::printf("{\"call\": \"%s\", \"calls\": %ld, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n", name, calls,
              elapsed_ms(begin, system_clock().mono_now()) / 1000, cpu_seconds() - cpu);
  std::fflush(stdout);
}

class Calls {
 public:
  explicit Calls(aws::Session& session)
      : session_(session),
        store_(need(aws::open_s3_store(session, {.bucket = "photos", .setup = aws::BucketSetup::use}))) {
    aws::SqsRules rules;
    rules.options_of = [](const std::string&) {
      aws::SqsQueueOptions options;
      options.setup = aws::QueueSetup::use;
      return std::optional(options);
    };
    directory_ = aws::open_sqs_queues(session, rules);
    queue_ = need(directory_->open("jobs"));
    for (int i = 0; i < 10; ++i) {
      messages_.push_back({.body = std::string(700, 'm'), .group_id = {}, .dedup_id = {}});
      receipts_.emplace_back(std::string(180, 'r') + std::to_string(i));
    }
  }
  void sign() {
    const aws::Credentials keys = need(session_.credentials().get({}));
    aws::Signable request{.method = "POST", .path = "/", .query = {}, .headers = {}, .payload_sha256 = {}};
    request.headers = {{"Host", "sqs.us-east-1.amazonaws.com"}, {"Content-Type", "application/x-amz-json-1.0"}};
    request.payload_sha256 = sha256_hex(messages_[0].body);
    aws::sign(request, keys, aws::signing_options("sqs", "us-east-1", system_clock().wall_now()));
  }
  void send() {
    for (const auto& one : need(queue_->send(messages_, Deadline::in(system_clock(), Seconds(30))))) need(one);
  }
  void receive() {
    if (need(queue_->receive({.wait = Seconds(20)}, {})).size() != 10) std::exit(1);
  }
  void remove() { (void)need(queue_->remove(receipts_)); }
  void put() { (void)need(store_->put(ObjectKey("in/photo.jpg"), object_, {})); }
  void get() {
    if (need(store_->get(ObjectKey("in/photo.jpg"), kMiB)).bytes.size() != object_.size()) std::exit(1);
  }

 private:
  aws::Session& session_;
  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<QueueDirectory> directory_;
  std::shared_ptr<MessageQueue> queue_;
  std::vector<OutgoingMessage> messages_;
  std::vector<Receipt> receipts_;
  const std::string object_ = std::string(100'000, 'o');
};

}  // namespace

int main(int count, char** values) {
  aws::Environment environment;
  for (const std::string& variable : environment_of_this_process()) {
    environment[variable.substr(0, variable.find('='))] = variable.substr(variable.find('=') + 1);
  }
  const auto session = need(aws::open_session(environment, {}, system_clock(), system_rng()));
  Calls calls(*session);
  if (count == 3 && std::string(values[1]) == "calls") {
    const long wanted = std::atol(values[2]);
    long before = 0;
    for (long i = 0; i < wanted; i += 5) {
      if (i == wanted / 10) before = resident_kib();  // buffers and connections have their size by then
      calls.send(), calls.receive(), calls.remove(), calls.put(), calls.get();
    }
    std::printf("{\"calls\": %ld, \"kib_after_a_tenth\": %ld, \"kib_at_the_end\": %ld}\n", wanted, before,
                resident_kib());
    return 0;
  }
  const Millis duration(count > 1 ? static_cast<long>(1000 * std::atof(values[1])) : 3000);
  const std::string wanted = count > 2 ? values[2] : "";
  const auto measure_wanted = [&](const std::string& name, auto call) {
    if (name.find(wanted) != std::string::npos) measure(name.c_str(), duration, call);
  };
  measure_wanted("sign", [&] { calls.sign(); });
  measure_wanted("sqs send 10", [&] { calls.send(); });
  measure_wanted("sqs receive 10", [&] { calls.receive(); });
  measure_wanted("sqs delete 10", [&] { calls.remove(); });
  measure_wanted("s3 put 100 kB", [&] { calls.put(); });
  measure_wanted("s3 get 100 kB", [&] { calls.get(); });
}
