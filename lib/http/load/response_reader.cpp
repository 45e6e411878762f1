#include "lib/http/load/response_reader.hpp"

#include <charconv>

#include "lib/base/text.hpp"
#include "lib/http/syntax/syntax.hpp"

namespace imgrec::load {
namespace {

constexpr std::uint64_t kChunkOverheadMax = 64 * kKiB;

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::transient, "bad_response", "The answer is not HTTP/1: " + std::string(why) + ".");
}

/// Calls take(name, value) for each header line until it returns false.
template <class Take>
void for_each_header(std::string_view lines, const Take& take) {
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    if (!take(line.substr(0, colon), http::trim_ows(line.substr(colon + 1)))) return;
  }
}

}  // namespace

std::string_view Response::header(std::string_view name) const {
  std::string_view found;
  for_each_header(headers, [&](std::string_view here, std::string_view value) {
    if (!http::equals_ignoring_case(here, name)) return true;
    found = value;
    return false;
  });
  return found;
}

Result<bool> ResponseReader::feed(std::string_view bytes) {
  if (raw_.size() + unchunked_.size() + bytes.size() > bytes_max_) {
    return bad("it has more than " + std::to_string(bytes_max_) + " bytes");
  }
  if (chunks_) {
    const auto taken = chunks_->feed(bytes, unchunked_);
    if (!taken) return bad(taken.error().detail);
    return chunks_->done();
  }
  raw_ += bytes;
  return advance();
}

// With what has arrived so far: complete or not.
Result<bool> ResponseReader::advance() {
  while (body_at_ == 0) {
    const std::size_t end = raw_.find("\r\n\r\n", scanned_);
    if (end == raw_.npos) {
      scanned_ = raw_.size() < 3 ? 0 : raw_.size() - 3;
      return false;
    }
    if (auto read = read_head(std::string_view(raw_).substr(0, end + 2)); !read) return fail(read.error());
    if (status_ >= 200) {
      body_at_ = end + 4;
      break;
    }
    if (status_ == 101) return bad("it changes the protocol");
    raw_.erase(0, end + 4);
    scanned_ = 0;
  }
  if (status_ == 204 || status_ == 304) length_ = 0;
  if (chunks_) {
    const auto taken = chunks_->feed(std::string_view(raw_).substr(body_at_), unchunked_);
    if (!taken) return bad(taken.error().detail);
    return chunks_->done();
  }
  until_close_ = !length_;
  return length_ && raw_.size() >= body_at_ + *length_;
}

Result<void> ResponseReader::read_head(std::string_view head) {
  const std::size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  int status = 0;
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ' ||
      std::from_chars(line.data() + 9, line.data() + 12, status).ptr != line.data() + 12 || status < 100) {
    return bad("it begins with " + json_quote(line.substr(0, 40)));
  }
  status_ = status;
  keep_alive_ = line[7] != '0';
  length_.reset();
  chunks_.reset();
  headers_at_ = line_end + 2;
  Result<void> taken;
  for_each_header(head.substr(headers_at_), [&](std::string_view name, std::string_view value) {
    taken = take_header(name, value);
    return taken.has_value();
  });
  if (chunks_) length_.reset();
  return taken;
}

Result<void> ResponseReader::take_header(std::string_view name, std::string_view value) {
  if (http::equals_ignoring_case(name, "content-length")) {
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc() || end != value.data() + value.size()) return bad("its Content-Length is no number");
    if (length > bytes_max_) return bad("it has more than " + std::to_string(bytes_max_) + " bytes");
    length_ = length;
  } else if (http::equals_ignoring_case(name, "transfer-encoding")) {
    if (!http::equals_ignoring_case(value, "chunked")) return bad("its Transfer-Encoding is not chunked");
    chunks_.emplace(bytes_max_, kChunkOverheadMax);
  } else if (http::equals_ignoring_case(name, "connection")) {
    if (http::equals_ignoring_case(value, "close")) keep_alive_ = false;
    if (http::equals_ignoring_case(value, "keep-alive")) keep_alive_ = true;
  }
  return {};
}

Result<bool> ResponseReader::close() {
  if (body_at_ != 0 && until_close_) return true;
  return fail(
      ErrorKind::transient, "connection_lost",
      has_begun() ? "The connection was closed within an answer." : "The connection was closed without an answer.");
}

Response ResponseReader::response() const {
  const std::string_view raw = raw_;
  Response response{.status = status_, .headers = raw.substr(headers_at_, body_at_ - 2 - headers_at_), .body = {}};
  response.body = chunks_ ? std::string_view(unchunked_) : raw.substr(body_at_, length_.value_or(raw.npos));
  return response;
}

void ResponseReader::reset() {
  raw_.clear();
  unchunked_.clear();
  chunks_.reset();
  length_.reset();
  scanned_ = body_at_ = headers_at_ = 0;
  status_ = 0;
  keep_alive_ = true;
  until_close_ = false;
}

}  // namespace imgrec::load
