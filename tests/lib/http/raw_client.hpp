// A client that sends exactly the bytes it is told, and a server that answers exactly those.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "lib/base/units.hpp"

namespace imgrec::test {

/// Blocking, with a time limit on every wait (10 s unless told): a hang is a failed test.
class RawClient {
 public:
  explicit RawClient(int port);
  ~RawClient();
  RawClient(const RawClient&) = delete;

  /// False when the connection broke.
  bool send(std::string_view bytes);
  /// Up to `bytes_max` that are there or arrive next; empty at the end, on a reset and after the time limit.
  std::string read_some(std::size_t bytes_max = 65536, Millis limit = Millis(10'000));
  /// Until the other side closes.
  std::string read_all();
  /// One whole response by its Content-Length (or none, for `to_head` and 1xx, 204, 304), as text. Keeps what follows.
  std::string read_response(bool to_head = false);
  /// True when the other side closes within the limit without sending anything more.
  bool closed_within(Millis limit);
  void shutdown_write();
  /// Ends the connection with a reset instead of an orderly close.
  void reset();
  /// A small receive window, so that a large answer stalls.
  static constexpr int kSmallWindow = 4096;
  RawClient(int port, int receive_buffer_bytes);

 private:
  int fd_ = -1;
  std::string kept_;
};

/// "HTTP/1.1 200 OK" → 200; 0 when it is no response.
int status_of(std::string_view response);
/// The first header of that name (any case); empty when there is none.
std::string header_of(std::string_view response, std::string_view name);
std::string body_of(std::string_view response);

/// Waits in real time for what other threads bring about; false after 10 s.
bool eventually(const std::function<bool()>& condition);

/// Listens on a free port and runs `serve(fd)` for each connection, one thread each.
class Imposter {
 public:
  explicit Imposter(std::function<void(int fd)> serve);
  ~Imposter();
  int port() const { return port_; }
  int connections() const { return connections_; }
  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  /// Reads a request's head from fd; for use in `serve`.
  static std::string read_head(int fd);
  static void write(int fd, std::string_view bytes);
  /// Blocks until the other side closes, or the imposter is destroyed.
  static void wait_for_close(int fd);

 private:
  void run(std::function<void(int fd)> serve);
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace imgrec::test
