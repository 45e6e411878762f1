// The files of the pages (ui/) and of the documentation, part of the binary.
#pragma once

#include <span>
#include <string_view>

#include "lib/http/server/server.hpp"

namespace imgrec {

struct PageFile {
  std::string_view path;  // "/app.js"
  std::string_view content_type;
  std::string_view bytes;
  std::string_view etag;    // of the bytes, with its quotes
  bool is_gzipped = false;  // the bytes are
};

/// Written at build time by embed.cmake.
std::span<const PageFile> page_files();

/// Null when there is no such file.
const PageFile* find_page_file(std::string_view path);

/// The file, or 304 when the browser has it.
Response page_response(const PageFile& file, const Request& request);

/// What a page may load and who may frame it: nothing from elsewhere, nobody. `path` is the page's.
void add_page_headers(Response& response, std::string_view path);

}  // namespace imgrec
