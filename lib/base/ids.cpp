#include "lib/base/ids.hpp"

#include <array>
#include <cstdint>

#include "lib/base/rng.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kUlidLength = 26;
constexpr std::size_t kKeyBytesMax = 1024;

void append_base32(std::string& out, std::uint64_t value, int digits) {
  for (int shift = 5 * (digits - 1); shift >= 0; shift -= 5) out += kCrockford[(value >> shift) & 31];
}

}  // namespace

JobId make_job_id(WallTime now, Rng& rng) {
  std::string text;
  text.reserve(kUlidLength);
  append_base32(text, static_cast<std::uint64_t>(now.time_since_epoch().count()) & 0xFFFF'FFFF'FFFF, 10);
  append_base32(text, rng.next() >> 24, 8);  // 40 random bits, twice
  append_base32(text, rng.next() >> 24, 8);
  return JobId(std::move(text));
}

WallTime time_of(const JobId& job) {
  constexpr std::size_t kTimeDigits = 10;
  std::uint64_t ms = 0;
  for (const char digit : std::string_view(job.str()).substr(0, kTimeDigits)) ms = ms * 32 + kCrockford.find(digit);
  return WallTime(Millis(static_cast<Millis::rep>(ms)));
}

Result<JobId> parse_job_id(std::string_view text) {
  if (text.size() != kUlidLength || text.find_first_not_of(kCrockford) != std::string_view::npos || text[0] > '7') {
    return fail(ErrorKind::invalid, "bad_job_id", "A job id has 26 characters of 0-9 and A-Z without I, L, O and U.");
  }
  return JobId(std::string(text));
}

Result<void> check_object_key(std::string_view key) {
  const auto bad = [](const char* what) { return fail(ErrorKind::invalid, "bad_key", what); };
  if (key.empty() || key.size() > kKeyBytesMax) return bad("An object key has 1 to 1024 bytes.");
  if (!is_valid_utf8(key)) return bad("An object key is valid UTF-8.");
  for (const char c : key) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return bad("An object key has no control characters.");
  }
  for (const std::string_view part : split(key, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return bad("No part of an object key between slashes is empty, \".\" or \"..\".");
    }
  }
  return {};
}

std::string random_hex(Rng& rng, std::size_t byte_count) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(2 * byte_count);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < byte_count; ++i) {
    if (i % 8 == 0) bits = rng.next();
    text += kHex[(bits >> 4) & 15];
    text += kHex[bits & 15];
    bits >>= 8;
  }
  return text;
}

}  // namespace imgrec
