// The page's files (ui/), part of the binary.
#pragma once

#include <span>
#include <string_view>

#include "lib/http/server/server.hpp"

namespace imgrec {

struct PageFile {
  std::string_view path;  // "/app.js"
  std::string_view content_type;
  std::string_view bytes;
  std::string_view etag;  // of the bytes, with its quotes
};

/// Written at build time by embed.cmake.
std::span<const PageFile> page_files();

/// Null when the page has no such file.
const PageFile* find_page_file(std::string_view path);

/// The file, or 304 when the browser has it.
Response page_response(const PageFile& file, const Request& request);

}  // namespace imgrec
