#include "roles/web/page/page.hpp"

#include <algorithm>

namespace imgrec {

const PageFile* find_page_file(std::string_view path) {
  const auto files = page_files();
  const auto found = std::ranges::find(files, path, &PageFile::path);
  return found == files.end() ? nullptr : &*found;
}

Response page_response(const PageFile& file, const Request& request) {
  Response response{.content_type = std::string(file.content_type),
                    .headers = {{"Content-Security-Policy",
                                 "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
                                 "form-action 'self'"},
                                {"Referrer-Policy", "no-referrer"},
                                {"Cross-Origin-Opener-Policy", "same-origin"},
                                {"Cache-Control", "no-cache"},
                                {"ETag", std::string(file.etag)}},
                    .body = {}};
  if (request.header("if-none-match") == file.etag) {
    response.status = 304;
  } else {
    response.body = file.bytes;
  }
  return response;
}

}  // namespace imgrec
