# imgrec_npm_package(FOLDER NAME VERSION SHA256 FILES…): a package of npm, fetched once at build into build/npm of the
# project and used by all builds after that without a network. Sets FOLDER to where it is; FILES, relative to that, are
# outputs of the build that others can depend on. SHA256 is that of `npm pack NAME@VERSION`.
function(imgrec_npm_package folder name version sha256)
  set(target ${PROJECT_SOURCE_DIR}/build/npm/${name}-${version})
  list(TRANSFORM ARGN PREPEND ${target}/ OUTPUT_VARIABLE files)
  add_custom_command(OUTPUT ${files}
    COMMAND bash ${PROJECT_SOURCE_DIR}/cmake/npm/fetch.sh ${target} ${name} ${version} ${sha256}
    COMMENT "Fetching ${name} ${version}" VERBATIM)
  set(${folder} ${target} PARENT_SCOPE)
endfunction()
