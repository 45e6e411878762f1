#include "lib/http/syntax/chunked.hpp"

#include <algorithm>

#include "lib/http/syntax/syntax.hpp"

namespace imgrec::http {
namespace {

std::unexpected<Refusal> bad_chunk(std::string detail) {
  return std::unexpected(Refusal{400, "bad_chunk", std::move(detail)});
}

std::unexpected<Refusal> body_too_large() {
  return std::unexpected(Refusal{413, "body_too_large", "The body is larger than is taken here."});
}

// name, name=token or name="quoted", separated by semicolons; the first semicolon is gone already.
bool are_extensions(std::string_view text) {
  const auto take_token = [&] {
    const auto end = std::find_if_not(text.begin(), text.end(), is_token_char);
    const auto length = static_cast<std::size_t>(end - text.begin());
    text.remove_prefix(length);
    return length > 0;
  };
  const auto take_quoted = [&] {
    for (std::size_t i = 1; i < text.size() && is_field_char(text[i]); ++i) {
      if (text[i] == '"') {
        text.remove_prefix(i + 1);
        return true;
      }
      if (text[i] == '\\') ++i;
    }
    return false;
  };
  while (true) {
    if (!take_token()) return false;
    if (text.starts_with('=')) {
      text.remove_prefix(1);
      if (!(text.starts_with('"') ? take_quoted() : take_token())) return false;
    }
    if (text.empty()) return true;
    if (text.front() != ';') return false;
    text.remove_prefix(1);
  }
}

}  // namespace

std::expected<std::size_t, Refusal> ChunkDecoder::feed(std::string_view bytes, std::string& body) {
  std::size_t taken = 0;
  while (taken < bytes.size() && state_ != State::done) {
    if (state_ == State::data) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, bytes.size() - taken));
      body.append(bytes.substr(taken, length));
      taken += length;
      chunk_left_ -= length;
      if (chunk_left_ == 0) state_ = State::data_cr;
    } else if (auto stepped = step(bytes[taken++]); !stepped) {
      return std::unexpected(stepped.error());
    }
  }
  return taken;
}

std::expected<void, Refusal> ChunkDecoder::count_overhead() {
  if (overhead_left_ == 0) return bad_chunk("The chunk extensions or trailers are too long.");
  --overhead_left_;
  return {};
}

std::expected<void, Refusal> ChunkDecoder::step(char c) {
  const auto expect = [&](char expected, State next, const char* detail) -> std::expected<void, Refusal> {
    if (c != expected) return bad_chunk(detail);
    state_ = next;
    return {};
  };
  static constexpr const char* kLoneCr = "A CR is not followed by an LF.";
  switch (state_) {
    case State::size_first:
    case State::size: return step_size(c);
    case State::extension:
      if (c != '\r') {
        extensions_ += c;
        return count_overhead();
      }
      if (!are_extensions(extensions_)) return bad_chunk("A chunk's extensions are malformed.");
      extensions_.clear();
      state_ = State::size_lf;
      return {};
    case State::size_lf:
      if (chunk_left_ > body_bytes_max_ - body_bytes_) return body_too_large();
      body_bytes_ += chunk_left_;
      return expect('\n', chunk_left_ == 0 ? State::line_start : State::data, kLoneCr);
    case State::data_cr: return expect('\r', State::data_lf, "A chunk is longer than its size.");
    case State::data_lf: size_digits_ = 0; return expect('\n', State::size_first, kLoneCr);
    case State::line_start:
    case State::trailer_name:
    case State::trailer_value: return step_trailer(c);
    case State::trailer_lf: return expect('\n', State::line_start, kLoneCr);
    case State::end_lf: return expect('\n', State::done, kLoneCr);
    case State::data:
    case State::done: break;
  }
  return {};
}

std::expected<void, Refusal> ChunkDecoder::step_size(char c) {
  if (const int digit = hex_value(c); digit >= 0) {
    if (++size_digits_ > 16) return bad_chunk("A chunk's size has more than 16 digits.");
    if (chunk_left_ > body_bytes_max_ / 16) return body_too_large();  // before it could overflow
    chunk_left_ = chunk_left_ * 16 + static_cast<std::uint64_t>(digit);
    state_ = State::size;
    return {};
  }
  if (state_ == State::size_first) return bad_chunk("A chunk has no size.");
  if (c != ';' && c != '\r') return bad_chunk("A chunk's size is not a hexadecimal number.");
  state_ = c == ';' ? State::extension : State::size_lf;
  return {};
}

std::expected<void, Refusal> ChunkDecoder::step_trailer(char c) {
  if (state_ == State::line_start && c == '\r') {
    state_ = State::end_lf;
    return {};
  }
  if (state_ == State::trailer_value) {
    if (c == '\r') {
      state_ = State::trailer_lf;
    } else if (!is_field_char(c)) {
      return bad_chunk("A trailer has a control character.");
    }
  } else if (c == ':' && state_ == State::trailer_name) {
    state_ = State::trailer_value;
  } else if (is_token_char(c)) {
    state_ = State::trailer_name;
  } else {
    return bad_chunk("A trailer is not of the form Name: value.");
  }
  return count_overhead();
}

}  // namespace imgrec::http
