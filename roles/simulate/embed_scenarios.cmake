# cmake -DFOLDER=configs/scenarios -DOUT=file.cpp -P embed_scenarios.cmake: the scenarios as C++ strings, by name.
file(GLOB files ${FOLDER}/*.toml)
list(SORT files)
set(table "")
foreach(file ${files})
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" text)
  string(APPEND table "    {\"${name}\", R\"toml(${text})toml\"},\n")
endforeach()
file(WRITE "${OUT}" "// Written by roles/simulate/embed_scenarios.cmake.
#include \"roles/simulate/scenario.hpp\"

namespace imgrec::simulate {
namespace {
constexpr ScenarioFile kFiles[] = {
${table}};
}  // namespace
std::span<const ScenarioFile> scenario_files() { return kFiles; }
}  // namespace imgrec::simulate
")
