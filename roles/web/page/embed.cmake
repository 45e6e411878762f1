# cmake -DUI=folder -DFILES=name,name -DOUT=file.cpp -P embed.cmake: the page's files as C++ arrays, each at /NAME and index.html at /.
set(arrays "")
set(table "")
set(index 0)
set(type_of_html "text/html; charset=utf-8")
set(type_of_css "text/css; charset=utf-8")
set(type_of_js "text/javascript; charset=utf-8")
set(type_of_svg "image/svg+xml")
string(REPLACE "," ";" FILES "${FILES}")
foreach(name ${FILES})
  string(REGEX REPLACE "^.*\\." "" ending "${name}")
  set(type "${type_of_${ending}}")
  if(NOT type)
    message(FATAL_ERROR "no content type is known for ${name}")
  endif()
  set(path "/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  file(READ "${UI}/${name}" hex HEX)
  file(SHA256 "${UI}/${name}" digest)
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
