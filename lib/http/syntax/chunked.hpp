// Decodes a chunked body (RFC 9112, section 7.1) as it arrives. Private to lib/http; no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/http/syntax/request_head.hpp"

namespace imgrec::http {

/// Extensions and trailers are checked for their characters, limited and discarded.
class ChunkDecoder {
 public:
  /// body_bytes_max: more is refused with 413. overhead_bytes_max: of extensions and trailers together.
  ChunkDecoder(std::uint64_t body_bytes_max, std::uint64_t overhead_bytes_max)
      : body_bytes_max_(body_bytes_max), overhead_left_(overhead_bytes_max) {}

  /// Takes the bytes that belong to the body, appends what they hold to `body`, and returns how many it took: all until
  /// the end of the body, none of what follows it. After a refusal or the end it must not be called again.
  std::expected<std::size_t, Refusal> feed(std::string_view bytes, std::string& body);
  bool done() const { return state_ == State::done; }

 private:
  enum class State {
    size_first,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    line_start,  // of a trailer, or of the empty line at the end
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done
  };
  std::expected<void, Refusal> step(char c);
  std::expected<void, Refusal> step_size(char c);
  std::expected<void, Refusal> step_trailer(char c);
  std::expected<void, Refusal> count_overhead();

  const std::uint64_t body_bytes_max_;
  std::uint64_t overhead_left_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t chunk_left_ = 0;
  int size_digits_ = 0;
  std::string extensions_;  // of this chunk
  State state_ = State::size_first;
};

}  // namespace imgrec::http
