#include "roles/web/page/page.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "lib/base/text.hpp"
#include "lib/http/syntax/etag.hpp"
#include "lib/http/syntax/gzip.hpp"

namespace imgrec {
namespace {

// Every browser does. A q=0 is not looked for: a client that goes to the length of refusing gzip names what it wants.
bool takes_gzip(const Request& request) {
  const auto accepted = request.header("accept-encoding");
  return accepted && to_lower(*accepted).find("gzip") != std::string::npos;
}

void set_body(Response& response, const PageFile& file, const Request& request) {
  if (!file.is_gzipped) {
    response.body = file.bytes;
    return;
  }
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (takes_gzip(request)) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = file.bytes;
  } else if (auto text = gunzip(file.bytes, std::numeric_limits<std::uint32_t>::max())) {
    response.body = *std::move(text);
  }
}

}  // namespace

const PageFile* find_page_file(std::string_view path) {
  const auto files = page_files();
  const auto found = std::ranges::find(files, path, &PageFile::path);
  return found == files.end() ? nullptr : &*found;
}

void add_page_headers(Response& response, std::string_view path) {
  std::string policy =
      "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
  // Icons in swagger-ui's style sheet.
  if (path.starts_with("/docs")) policy += "; img-src 'self' data:";
  response.headers.emplace_back("Content-Security-Policy", std::move(policy));
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.emplace_back("Cache-Control", "no-cache");
}

Response page_response(const PageFile& file, const Request& request) {
  Response response{.content_type = std::string(file.content_type), .headers = {}, .body = {}};
  add_page_headers(response, file.path);
  response.headers.emplace_back("ETag", std::string(file.etag));
  if (etag_matches(request.header("if-none-match").value_or(""), file.etag)) {
    response.status = 304;
  } else {
    set_body(response, file, request);
  }
  return response;
}

}  // namespace imgrec
