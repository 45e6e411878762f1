# cmake -DFILES=file,name=file,… -DOUT=file.cpp -P embed.cmake: the pages' files as C++ arrays, each at /NAME (that of the
# file where none is given), index.html at the address of its folder, and NAME.gz, which is sent as it is, at /NAME.
set(arrays "")
set(table "")
set(index 0)
set(type_of_html "text/html; charset=utf-8")
set(type_of_css "text/css; charset=utf-8")
set(type_of_js "text/javascript; charset=utf-8")
set(type_of_svg "image/svg+xml")
set(type_of_json "application/json")
set(type_of_webp "image/webp")
set(type_of_txt "text/plain; charset=utf-8")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file ${FILES})
  get_filename_component(name "${file}" NAME)
  if(file MATCHES "^([^=]+)=(.+)$")
    set(name "${CMAKE_MATCH_1}")
    set(file "${CMAKE_MATCH_2}")
  endif()
  set(is_gzipped false)
  set(weak "")
  if(name MATCHES "^(.+)\\.gz$")
    set(name "${CMAKE_MATCH_1}")
    set(is_gzipped true)
    set(weak "W/")  # other bytes for who takes no gzip
  endif()
  string(REGEX REPLACE "^.*\\." "" ending "${name}")
  set(type "${type_of_${ending}}")
  if(NOT type)
    message(FATAL_ERROR "no content type is known for ${name}")
  endif()
  string(REGEX REPLACE "(^|/)index\\.html$" "" path "/${name}")
  if(path STREQUAL "")
    set(path "/")
  endif()
  file(READ "${file}" hex HEX)
  file(SHA256 "${file}" digest)
  string(SUBSTRING "${digest}" 0 16 etag)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char kFile${index}[] = {\n${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", {kFile${index}, sizeof(kFile${index})}, \"${weak}\\\"${etag}\\\"\", ${is_gzipped}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUT}" "// Written by roles/web/page/embed.cmake.
#include \"roles/web/page/page.hpp\"

namespace imgrec {
namespace {
${arrays}
constexpr PageFile kFiles[] = {
${table}};
}  // namespace
std::span<const PageFile> page_files() { return kFiles; }
}  // namespace imgrec
")
