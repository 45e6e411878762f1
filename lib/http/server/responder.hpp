// How a handler answers: at once or later, whole or in pieces.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "lib/http/server/message.hpp"

namespace imgrec {

/// Runs on the server's I/O thread: it must not block. What it throws is logged.
using IoCallback = std::move_only_function<void()>;

/// What it means that the client has ended its sending side in an orderly way. Most clients have left then; one that
/// only half-closed still reads its answer, and TCP cannot tell the two apart.
enum class ClientEof {
  gone,    // the client has left
  ignored  // it still gets its answer; that it has left shows only when writing to it fails
};

/// A response whose body is written piece by piece, of a length not known before: chunked in HTTP/1.1, in HTTP/1.0 the
/// body ends with the connection. Thread-safe, never blocks. At most ServerOptions::stream_bytes_max and one piece are
/// buffered. Destroyed without end() it breaks the connection, so that the client does not take a part for the whole.
class ResponseStream {
 public:
  enum class Write {
    taken,
    full,   // not taken; StreamCallbacks::on_room tells when to try again
    closed  // nobody reads any more: the client has left, the server has stopped, or the stream was ended
  };
  /// The session behind it. Thread-safe.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual Write write(std::string_view piece) = 0;
    virtual void end(bool complete) = 0;
  };

  /// A closed one.
  ResponseStream() = default;
  explicit ResponseStream(std::shared_ptr<Sink> sink);
  ResponseStream(ResponseStream&&) noexcept = default;
  ResponseStream& operator=(ResponseStream&& other) noexcept;
  ~ResponseStream();

  /// Takes a piece of any size whole, or not at all.
  Write write(std::string_view piece);
  /// What was taken is sent, and the body is complete. Only the first call counts.
  void end();

 private:
  std::shared_ptr<Sink> sink_;
};

/// All run on the I/O thread. on_client_gone runs at most once, when the connection ends before the stream does;
/// on_drain at most once, when the server drains (at once if it does already): the stream should end soon, for at the
/// drain's deadline it is cut off. After the end of the stream none runs, and all are destroyed.
struct StreamCallbacks {
  IoCallback on_room = {};
  IoCallback on_drain = {};
  IoCallback on_client_gone = {};
  ClientEof eof = ClientEof::gone;
};

/// The one answer to one request; may be kept, moved to another thread and used long after the handler returned.
/// Destroyed unused it answers 500. Thread-safe, never blocks; only the first of send() and open_stream() counts.
class Responder {
 public:
  /// The session behind it (or a test's). Thread-safe; of send, open_stream and abandon only the first call counts.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual bool send(Response response) = 0;
    virtual ResponseStream open_stream(Response head, StreamCallbacks callbacks) = 0;
    virtual void on_client_gone(IoCallback callback, ClientEof eof) = 0;
    virtual void abandon() = 0;  // the Responder is gone: answers 500 when nothing was sent
  };
  explicit Responder(std::shared_ptr<Sink> sink);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();

  /// Returns false when there was an answer before. True does not mean that the client is still there to read it.
  bool send(Response response);

  /// Opens a streamed answer with the status and headers of `head`; its body is the first piece. Closed when there was
  /// an answer before. An answer to HEAD, and one that has no body (204, 304), closes at
  /// once, which on_client_gone tells as well.
  ResponseStream open_stream(Response head, StreamCallbacks callbacks = {});

  /// `callback` runs once if the client leaves before it is answered: its connection broke, or it closed it (unless
  /// ClientEof::ignored), or the server cuts it off. At once when it has left already. A second call replaces the
  /// first. It does not run once an answer was given. A client that vanishes without a word is found out after 60
  /// seconds.
  void on_client_gone(IoCallback callback, ClientEof eof = ClientEof::gone);

 private:
  std::shared_ptr<Sink> sink_;
};

}  // namespace imgrec
