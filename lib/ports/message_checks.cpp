#include "lib/ports/message_checks.hpp"

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr Millis kDelayMax = std::chrono::minutes(15);
constexpr Millis kWaitMax = Seconds(20);
constexpr Millis kVisibilityMax = std::chrono::hours(12);
constexpr std::size_t kFifoIdBytesMax = 128;

std::unexpected<Error> bad_message(const char* what) {
  return fail(ErrorKind::invalid, "bad_message", what);
}

// "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF" (SendMessage), of valid UTF-8.
bool has_forbidden_character(std::string_view text) {
  for (std::size_t at = find_control(text); at != std::string_view::npos; at = find_control(text, at + 1)) {
    if (text[at] != '\t' && text[at] != '\n' && text[at] != '\r') return true;
  }
  return text.find("\xEF\xBF\xBE") != std::string_view::npos || text.find("\xEF\xBF\xBF") != std::string_view::npos;
}

bool is_fifo_id(std::string_view id) {
  return !id.empty() && id.size() <= kFifoIdBytesMax &&
         std::ranges::all_of(id, [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

Result<void> check_batch(std::size_t count) {
  if (count >= 1 && count <= kBatchMax) return {};
  return fail(ErrorKind::invalid, "bad_batch", "A batch has 1 to 10 elements.");
}

Result<void> check_batch_bytes(std::size_t bytes) {
  if (bytes <= kMessageBytesMax) return {};
  return fail(ErrorKind::invalid, "batch_too_large", "The messages of one call have more than 1 MiB together.");
}

Result<void> check_message(const OutgoingMessage& message, bool fifo) {
  if (message.body.size() > kMessageBytesMax) {
    return fail(ErrorKind::invalid, "message_too_large", "A message has at most 1 MiB.");
  }
  if (message.body.empty()) return bad_message("A message is not empty.");
  if (!is_valid_utf8(message.body)) return bad_message("A message is valid UTF-8.");
  if (has_forbidden_character(message.body)) {
    return bad_message("A message has no control characters but tab and line ends, and no U+FFFE and U+FFFF.");
  }
  if (message.delay < Millis(0) || message.delay > kDelayMax) return bad_message("A delay is 0 to 15 minutes.");
  if (!fifo) {
    if (message.group_id.empty() && message.dedup_id.empty()) return {};
    return bad_message("Only a FIFO queue takes a group id and a dedup id.");
  }
  if (message.delay != Millis(0)) return bad_message("A FIFO queue takes no delay.");
  if (is_fifo_id(message.group_id) && is_fifo_id(message.dedup_id)) return {};
  return bad_message("A FIFO queue needs a group id and a dedup id of 1 to 128 letters, digits or punctuation.");
}

Result<void> check_receive(const ReceiveOptions& options) {
  const bool good = options.messages_max >= 1 && options.messages_max <= static_cast<int>(kBatchMax) &&
                    options.wait >= Millis(0) && options.wait <= kWaitMax && options.visibility >= Millis(0) &&
                    options.visibility <= kVisibilityMax;
  if (good) return {};
  return fail(ErrorKind::invalid, "bad_receive", "1 to 10 messages, at most 20 s of wait, at most 12 h of visibility.");
}

Result<void> check_visibility(Millis visibility) {
  if (visibility >= Millis(0) && visibility <= kVisibilityMax) return {};
  return fail(ErrorKind::invalid, "bad_visibility", "A visibility timeout is 0 to 12 hours.");
}

}  // namespace imgrec
