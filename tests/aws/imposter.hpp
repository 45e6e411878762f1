// An HTTP server that plays AWS from a script, faults included, and remembers what it was asked.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/client/uri.hpp"
#include "lib/base/file.hpp"
#include "tests/aws/support.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::aws::test {

struct Seen {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
  std::map<std::string, std::string> form() const;
  /// "SendMessageBatch", whatever the protocol; empty for S3.
  std::string operation() const;
};

enum class Fault {
  none,
  cut,       // the request is read; the connection ends without an answer
  truncate,  // the answer ends after bytes_sent bytes of its body, and the connection with it
  stall,     // the same, but the connection stays open and silent
};

struct Reply {
  int status = 200;
  std::string body{};
  HttpHeaders headers{};
  Fault fault = Fault::none;
  std::size_t bytes_sent = 0;
};

/// Thread-safe. Connections are kept alive, as AWS keeps them.
class Imposter {
 public:
  using Step = std::function<Reply(const Seen&)>;

  Imposter();
  ~Imposter();
  Imposter(const Imposter&) = delete;
  Imposter& operator=(const Imposter&) = delete;

  void then(Step step);
  void then(Reply reply);
  /// What answers when the script is used up; without it, that fails the test.
  void always(Step step);
  /// From now on seen() stays as it is: for tests of many calls.
  void remember_no_more();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<Seen> seen() const;
  Seen last() const { return seen().back(); }
  std::size_t connections() const;

 private:
  void accept_all();
  void serve(int fd);
  Reply answer(const Seen& request);

  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::deque<Step> steps_;
  Step always_;
  std::vector<Seen> seen_;
  bool remembers_ = true;
  std::vector<int> open_;
  std::vector<std::jthread> servers_;
  std::jthread acceptor_;
};

/// A session with the imposter as every service, a clock that jumps over all waits, and fixed keys.
class ImposterWorld {
 public:
  Imposter imposter;
  JumpClock clock;
  imgrec::test::SeededRng rng;
  Session session{parts(), clock, rng};

  Session& in_region(const std::string& region);

 private:
  SessionParts parts(const std::string& region = "us-east-1") const;
  std::unique_ptr<Session> other_;
};

}  // namespace imgrec::aws::test
