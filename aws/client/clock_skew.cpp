#include "aws/client/clock_skew.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "aws/client/wire/service_error.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kTrustedExchangeMax{60'000};   // a long poll is 20 s
constexpr Millis kDetectionThreshold{240'000};  // AWS refuses at 5 minutes

std::optional<int> number_at(std::string_view text, std::size_t at, std::size_t length) {
  int value = 0;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, begin + length, value);
  if (error != std::errc{} || end != begin + length || value < 0) return std::nullopt;
  return value;
}

template <std::size_t N>
bool is_one_of(std::string_view code, const std::array<std::string_view, N>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT" || text[19] != ':' ||
      text[22] != ':') {
    return std::nullopt;
  }
  const std::size_t month_at = kMonths.find(text.substr(8, 3));
  const auto day = number_at(text, 5, 2), year = number_at(text, 12, 4);
  const auto hour = number_at(text, 17, 2), minute = number_at(text, 20, 2), second = number_at(text, 23, 2);
  if (month_at == std::string_view::npos || month_at % 3 != 0 || !day || !year || !hour || !minute || !second) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month_at / 3 + 1)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         Seconds(*second);
}

std::optional<Millis> ClockSkew::learn(WallTime sent_at, WallTime received_at, const HttpHeaders& headers) {
  const auto date = parse_http_date(header_value(headers, "date"));
  const Millis exchange = received_at - sent_at;
  if (!date || !header_value(headers, "age").empty() || exchange < Millis(0) || exchange > kTrustedExchangeMax) {
    return std::nullopt;
  }
  const Millis skew = *date - (sent_at + exchange / 2);
  skew_ms_.store(skew.count(), std::memory_order_relaxed);
  return skew;
}

bool is_clock_skew_error(std::string_view aws_code, Millis used, std::optional<Millis> learnt) {
  constexpr std::array<std::string_view, 3> kDefinite = {"RequestTimeTooSkewed", "RequestExpired",
                                                         "RequestInTheFuture"};
  constexpr std::array<std::string_view, 4> kPossible = {"InvalidSignatureException", "SignatureDoesNotMatch",
                                                         "AuthFailure", "InvalidSignature"};
  if (!learnt) return false;
  if (is_one_of(aws_code, kDefinite)) return true;
  return is_one_of(aws_code, kPossible) && std::chrono::abs(*learnt - used) >= kDetectionThreshold;
}

}  // namespace imgrec::aws
