// What a handler has written to a streamed answer and the session has not sent yet. Private to lib/http.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "lib/http/server/server_context.hpp"

namespace imgrec::http {

/// Thread-safe.
class StreamBuffer final : public ResponseStream::Sink {
 public:
  StreamBuffer(std::shared_ptr<IoThread> io_thread, std::weak_ptr<Session> session, std::uint64_t bytes_max)
      : io_thread_(std::move(io_thread)), session_(std::move(session)), bytes_max_(bytes_max) {}

  ResponseStream::Write write(std::string_view piece) override;
  void end(bool complete) override;

  // For the session.
  struct Next {
    std::string bytes;
    bool ended = false;     // nothing follows these bytes
    bool complete = false;  // and that is the end of the body, not a part of it
    bool has_room = false;  // which the handler was refused before
  };
  /// What has come since; what was taken before is sent.
  Next take();
  /// Nobody reads any more.
  void close();

 private:
  void wake();

  const std::shared_ptr<IoThread> io_thread_;
  const std::weak_ptr<Session> session_;
  const std::uint64_t bytes_max_;
  std::mutex mutex_;
  std::string bytes_;
  std::size_t bytes_in_flight_ = 0;  // taken and not sent yet
  bool room_wanted_ = false;
  bool ended_ = false;
  bool complete_ = false;
};

}  // namespace imgrec::http
