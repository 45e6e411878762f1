#include "lib/http/server/response_message.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "lib/base/log.hpp"
#include "lib/http/server/problem.hpp"
#include "lib/http/syntax/syntax.hpp"

namespace imgrec::http {
namespace {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7).
std::string http_date(WallTime now) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<Seconds>(now - day));
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text.data();
}

bool is_valid_header(const std::pair<std::string, std::string>& header) {
  return is_token(header.first) && std::all_of(header.second.begin(), header.second.end(), is_field_char);
}

// Those the server alone knows.
bool is_own_header(std::string_view name) {
  for (const auto own : {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "x-request-id"}) {
    if (equals_ignoring_case(name, own)) return true;
  }
  return false;
}

}  // namespace

bool wants_close(const Response& response) {
  for (const auto& [name, value] : response.headers) {
    if (equals_ignoring_case(name, "connection") && equals_ignoring_case(trim_ows(value), "close")) return true;
  }
  return false;
}

ResponseMessage to_message(Response response, bool is_head, const RequestId& id) {
  ResponseMessage message;
  message.version(11);
  message.result(static_cast<unsigned>(response.status));
  message.reason(std::string(reason_phrase(response.status)));
  if (!response.content_type.empty()) response.headers.emplace_back("Content-Type", std::move(response.content_type));
  for (const auto& header : response.headers) {
    if (is_own_header(header.first)) continue;
    if (is_valid_header(header)) {
      message.insert(header.first, header.second);
    } else {
      log::error("left out a malformed response header", {{"header", header.first}, {"request", id}});
    }
  }
  const bool has_no_content = response.status == 204 || response.status == 304;
  if (!has_no_content) message.set("Content-Length", std::to_string(response.body.size()));
  message.set("Date", http_date(system_clock().wall_now()));
  message.set("X-Request-Id", id.str());
  message.set("X-Content-Type-Options", "nosniff");
  if (!is_head && !has_no_content) message.body() = std::move(response.body);
  return message;
}

std::string head_text(const ResponseMessage& message) {
  std::string text = "HTTP/1.1 " + std::to_string(message.result_int()) + " ";
  const auto add = [&](const auto& part) { text.append(part.data(), part.size()); };
  add(message.reason());
  for (const auto& field : message.base()) {
    text += "\r\n";
    add(field.name_string());
    text += ": ";
    add(field.value());
  }
  return text + "\r\n\r\n";
}

}  // namespace imgrec::http
