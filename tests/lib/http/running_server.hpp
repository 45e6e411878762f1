// A server of one's own for a test, and handlers for it.
#pragma once

#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lib/http/server/server.hpp"

namespace imgrec::test {

/// A started server on a free port.
class Running {
 public:
  explicit Running(RequestHandler handler, ServerOptions options = {})
      : server_(free_port(std::move(options)), std::move(handler)) {
    auto port = server_.start();
    if (!port) throw std::runtime_error(describe(port.error()));
    port_ = *port;
  }
  Server& operator*() { return server_; }
  Server* operator->() { return &server_; }
  int port() const { return port_; }

 private:
  static ServerOptions free_port(ServerOptions options) {
    options.port = 0;
    return options;
  }
  Server server_;
  int port_ = 0;
};

inline void echo(Request request, Responder responder) {
  responder.send({.body = request.method + " " + request.path + " " + request.body});
}

/// Keeps requests and their Responders until the test answers them. Thread-safe.
class Held {
 public:
  RequestHandler handler() {
    return [this](Request request, Responder responder) {
      std::lock_guard lock(mutex_);
      held_.emplace_back(std::move(request), std::move(responder));
    };
  }
  std::size_t count() {
    std::lock_guard lock(mutex_);
    return held_.size();
  }
  /// Answers each with its own path, or with the length of its body if it has one.
  void answer_all() {
    for (auto& [request, responder] : take()) {
      responder.send({.body = request.body.empty() ? request.path : std::to_string(request.body.size())});
    }
  }
  std::vector<std::pair<Request, Responder>> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(held_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<Request, Responder>> held_;
};

inline std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
}
/// The head of a request that promises so many bytes.
inline std::string post_head(std::size_t bytes, const std::string& path = "/") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
}
inline std::string chunked_head() {
  return "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
}
inline std::string post(const std::string& body, const std::string& path = "/") {
  return post_head(body.size(), path) + body;
}

}  // namespace imgrec::test
