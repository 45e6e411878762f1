// Reads one HTTP/1 response after the other from the bytes of a connection (RFC 9112). No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/http/syntax/chunked.hpp"

namespace imgrec::load {

struct Response {
  int status = 0;
  std::string_view headers;  // the lines between the status line and the empty line
  ByteView body;

  /// The first header of that name, in lower case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

/// Memory is kept from one response to the next.
class ResponseReader {
 public:
  /// bytes_max: of head and body together.
  explicit ResponseReader(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Takes bytes as they arrive; returns true when the response is complete. Answers of the kind 1xx are skipped.
  /// Errors: transient "bad_response" (what is no HTTP, or too much of it).
  Result<bool> feed(std::string_view bytes);
  /// The other side has closed: true when that completes the response. Errors: transient "connection_lost".
  Result<bool> close();

  /// A byte of the response has arrived.
  bool has_begun() const { return !raw_.empty(); }
  /// Of the complete response: whether the connection takes another request.
  bool keeps_alive() const { return keep_alive_ && !until_close_; }
  /// Views that are valid until the reader is changed.
  Response response() const;
  /// Forgets the response, for the next one.
  void reset();

 private:
  Result<bool> advance();
  Result<void> read_head(std::string_view head);
  Result<void> take_header(std::string_view name, std::string_view value);

  const std::uint64_t bytes_max_;
  std::string raw_;          // as it arrived; of a chunked body only what came with the head
  std::size_t scanned_ = 0;  // no end of the head before this
  std::size_t body_at_ = 0;  // 0: the head is not complete
  std::size_t headers_at_ = 0;
  int status_ = 0;
  std::optional<std::uint64_t> length_;
  bool keep_alive_ = true, until_close_ = false;
  std::optional<http::ChunkDecoder> chunks_;
  std::string unchunked_;
};

}  // namespace imgrec::load
