// A scripted HttpClient and a clock that jumps: what the tests of aws/ share.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "aws/client/call.hpp"
#include "lib/base/clock.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec::aws::test {

/// Sleeping moves the time at once, and is remembered. Begins at 2026-01-01T00:00:00Z. Thread-safe.
class JumpClock final : public Clock {
 public:
  WallTime wall_now() const override { return std::lock_guard(mutex_), wall_; }
  MonoTime mono_now() const override { return std::lock_guard(mutex_), mono_; }
  bool sleep_until(MonoTime time, std::stop_token stop) override {
    if (stop.stop_requested()) return false;
    std::lock_guard lock(mutex_);
    const auto duration = std::max(Millis(0), std::chrono::ceil<Millis>(time - mono_));
    sleeps_.push_back(duration);
    wall_ += duration;
    mono_ += duration;
    return true;
  }
  void advance(Millis duration) {
    std::lock_guard lock(mutex_);
    wall_ += duration;
    mono_ += duration;
  }
  void set_wall(WallTime time) {
    std::lock_guard lock(mutex_);
    wall_ = time;
  }
  std::vector<Millis> sleeps() const { return std::lock_guard(mutex_), sleeps_; }

 private:
  mutable std::mutex mutex_;
  WallTime wall_ = *parse_rfc3339("2026-01-01T00:00:00Z");
  MonoTime mono_{std::chrono::hours(1)};
  std::vector<Millis> sleeps_;
};

/// Random numbers that are always as large, or as small, as can be: delays are exact.
class FixedRng final : public Rng {
 public:
  explicit FixedRng(std::uint64_t value) : value_(value) {}
  std::uint64_t next() override { return value_; }

 private:
  const std::uint64_t value_;
};

/// Answers in order; a request beyond the script fails the test. Thread-safe.
class ScriptedHttp final : public HttpClient {
 public:
  using Step = std::function<Result<HttpClientResponse>(const HttpClientRequest&)>;

  void then(Step step) { steps_.push_back(std::move(step)); }
  void then(int status, std::string body = "", HttpHeaders headers = {}) {
    then([=](const HttpClientRequest&) { return HttpClientResponse{status, headers, body}; });
  }
  void then_fail(std::string code, ErrorKind kind = ErrorKind::transient) {
    then([=](const HttpClientRequest&) -> Result<HttpClientResponse> {
      return fail(kind, code, "The " + code + " of a test.");
    });
  }

  Result<HttpClientResponse> send(const HttpClientRequest& request, std::stop_token) override {
    Step step;
    HttpClientRequest whole = request;  // what was borrowed is gone when the test looks
    if (!request.borrowed_body.empty()) whole.body = request.borrowed_body;
    whole.borrowed_body = {};
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(whole);
      if (steps_.empty()) {
        ADD_FAILURE() << "not in the script: " << request.method << " " << request.url;
        return fail(ErrorKind::bug, "not_in_script", "not in the script");
      }
      step = std::move(steps_.front());
      steps_.pop_front();
    }
    return step(whole);
  }

  const std::vector<HttpClientRequest>& requests() const { return requests_; }
  std::size_t left() const { return steps_.size(); }

 private:
  std::mutex mutex_;
  std::deque<Step> steps_;
  std::vector<HttpClientRequest> requests_;
};

/// The request's header, whatever its case; empty when it is not there.
inline std::string sent_header(const HttpClientRequest& request, const std::string& name) {
  const auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  for (const auto& [key, value] : request.headers) {
    if (lower(key) == lower(name)) return value;
  }
  return "";
}

inline Credentials test_keys() {
  Credentials keys;
  keys.access_key_id = "AKIDEXAMPLE";
  keys.secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  return keys;
}

}  // namespace imgrec::aws::test
