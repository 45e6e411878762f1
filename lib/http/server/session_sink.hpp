// The way of an answer from any thread to its session. Private to lib/http.
#pragma once

#include "lib/http/server/server_context.hpp"
// Asio first (see there).
#include "lib/http/server/session.hpp"

namespace imgrec::http {

/// Thread-safe; may outlive session and server.
class SessionSink final : public Responder::Sink {
 public:
  SessionSink(std::shared_ptr<IoThread> io_thread, std::weak_ptr<Session> session, std::uint64_t serial,
              std::uint64_t stream_bytes_max)
      : io_thread_(std::move(io_thread)),
        session_(std::move(session)),
        serial_(serial),
        stream_bytes_max_(stream_bytes_max) {}

  bool send(Response response) override { return deliver(std::move(response)); }
  void abandon() override { deliver(std::nullopt); }

  ResponseStream open_stream(Response head, StreamCallbacks callbacks) override {
    if (used_.exchange(true)) return {};
    auto stream = std::make_shared<StreamBuffer>(io_thread_, session_, stream_bytes_max_);
    stream->write(std::exchange(head.body, {}));
    io_thread_->post([weak = session_, serial = serial_, head = std::move(head), stream,
                      callbacks = std::move(callbacks)]() mutable {
      if (const auto session = weak.lock()) {
        session->deliver_stream(serial, std::move(head), std::move(stream), std::move(callbacks));
      } else {
        stream->close();
        if (callbacks.on_client_gone) callbacks.on_client_gone();
      }
    });
    return ResponseStream(std::move(stream));
  }

  void on_client_gone(IoCallback callback, ClientEof eof) override {
    if (used_) return;
    io_thread_->post([weak = session_, serial = serial_, callback = std::move(callback), eof]() mutable {
      if (const auto session = weak.lock()) return session->watch_client(serial, std::move(callback), eof);
      if (callback) callback();
    });
  }

 private:
  bool deliver(std::optional<Response> response) {
    if (used_.exchange(true)) return false;
    io_thread_->post([weak = session_, serial = serial_, response = std::move(response)]() mutable {
      if (const auto session = weak.lock()) session->deliver(serial, std::move(response));
    });
    return true;
  }

  const std::shared_ptr<IoThread> io_thread_;
  const std::weak_ptr<Session> session_;
  const std::uint64_t serial_;
  const std::uint64_t stream_bytes_max_;
  std::atomic<bool> used_ = false;
};

}  // namespace imgrec::http
