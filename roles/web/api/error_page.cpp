#include "roles/web/api/error_page.hpp"

#include <string>

#include "lib/http/server/problem.hpp"
#include "roles/web/page/page.hpp"

namespace imgrec {
namespace {

std::string html_of(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      default: html += c;
    }
  }
  return html;
}

}  // namespace

Response error_page(const ErrorCode& error) {
  const std::string title = html_of(error_title(error.code));
  Response response{.content_type = "text/html; charset=utf-8", .headers = {}, .body = {}};
  add_page_headers(response, "/docs/errors");
  response.body =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      title +
      " – imgrec API</title>\n<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n"
      "<link rel=\"stylesheet\" href=\"/docs/docs.css\">\n</head>\n<body>\n<main class=\"error\">\n<h1>" +
      title + "</h1>\n<p><code>" + html_of(error.code) + "</code>, answered with status " +
      std::to_string(error.status) + " (" + std::string(reason_phrase(error.status)) + ")</p>\n<p>" +
      html_of(error.advice) + "</p>\n<p><a href=\"/docs\">The API</a></p>\n</main>\n</body>\n</html>\n";
  return response;
}

}  // namespace imgrec
