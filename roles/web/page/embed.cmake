# cmake -DFILES=file,name=file,… -DOUT=file.cpp -P embed.cmake: the page's files as C++ arrays, each at /NAME (that of the
# file where none is given) and index.html at /.
set(arrays "")
set(table "")
set(index 0)
set(type_of_html "text/html; charset=utf-8")
set(type_of_css "text/css; charset=utf-8")
set(type_of_js "text/javascript; charset=utf-8")
set(type_of_svg "image/svg+xml")
set(type_of_txt "text/plain; charset=utf-8")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file ${FILES})
  get_filename_component(name "${file}" NAME)
  if(file MATCHES "^([^/=]+)=(.+)$")
    set(name "${CMAKE_MATCH_1}")
    set(file "${CMAKE_MATCH_2}")
  endif()
  string(REGEX REPLACE "^.*\\." "" ending "${name}")
  set(type "${type_of_${ending}}")
  if(NOT type)
    message(FATAL_ERROR "no content type is known for ${name}")
  endif()
  set(path "/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  file(READ "${file}" hex HEX)
  file(SHA256 "${file}" digest)
  string(SUBSTRING "${digest}" 0 16 etag)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char kFile${index}[] = {\n${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", {kFile${index}, sizeof(kFile${index})}, \"\\\"${etag}\\\"\"},\n")
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
