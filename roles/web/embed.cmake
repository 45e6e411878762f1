# cmake -DUI=folder -DOUT=file.cpp -P embed.cmake: the page's files as C++ arrays.
set(arrays "")
set(table "")
set(index 0)
foreach(file "index.html|/|text/html" "app.js|/app.js|text/javascript"
             "style.css|/style.css|text/css" "favicon.svg|/favicon.svg|image/svg+xml")
  string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|(.*)$" _ "${file}")
  set(name "${CMAKE_MATCH_1}")
  set(path "${CMAKE_MATCH_2}")
  set(type "${CMAKE_MATCH_3}")
  if(type MATCHES "^text/")
    string(APPEND type "; charset=utf-8")
  endif()
  file(READ "${UI}/${name}" hex HEX)
  file(SHA256 "${UI}/${name}" digest)
  string(SUBSTRING "${digest}" 0 16 etag)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char kFile${index}[] = {\n${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", {kFile${index}, sizeof(kFile${index})}, \"\\\"${etag}\\\"\"},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUT}" "// Written by roles/web/embed.cmake.
#include \"roles/web/page.hpp\"

namespace imgrec {
namespace {
${arrays}
constexpr PageFile kFiles[] = {
${table}};
}  // namespace
std::span<const PageFile> page_files() { return kFiles; }
}  // namespace imgrec
")
