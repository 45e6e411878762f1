# `cpack` in the build folder makes a Debian package: the program, OpenVINO where it was built with it, systemd units, the
# commented settings as configuration files, and licences. `./dev package` runs it.
set(PACKAGE_DIR ${CMAKE_BINARY_DIR}/package)

# imgrec_unit(ROLE DESCRIPTION CONFIG STOP_SECONDS): the unit of one role; STOP_SECONDS cover its longest drain.
function(imgrec_unit ROLE DESCRIPTION CONFIG STOP_SECONDS)
  configure_file(${PROJECT_SOURCE_DIR}/configs/package/imgrec.service.in ${PACKAGE_DIR}/imgrec-${ROLE}.service @ONLY)
  install(FILES ${PACKAGE_DIR}/imgrec-${ROLE}.service DESTINATION lib/systemd/system COMPONENT package EXCLUDE_FROM_ALL)
endfunction()
imgrec_unit(local "imgrec on one machine: web, controller and workers" local.toml 120)
imgrec_unit(web "imgrec web: takes images in and answers" aws.toml 120)
imgrec_unit(controller "imgrec controller: starts and stops workers" aws.toml 30)
imgrec_unit(worker "imgrec worker: classifies images" aws.toml 120)
install(FILES configs/package/imgrec.sysusers RENAME imgrec.conf DESTINATION lib/sysusers.d COMPONENT package EXCLUDE_FROM_ALL)
install(FILES configs/local.toml configs/aws.toml DESTINATION /etc/imgrec COMPONENT package EXCLUDE_FROM_ALL)
install(FILES configs/package/copyright DESTINATION share/doc/imgrec COMPONENT package EXCLUDE_FROM_ALL)

# Debian's changelog names the version; what has changed is in CHANGELOG.md, which is its upstream changelog.
string(TIMESTAMP NOW "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${PACKAGE_DIR}/changelog "imgrec (${PROJECT_VERSION}) unstable; urgency=medium\n\n"
  "  * See /usr/share/doc/imgrec/CHANGELOG.md.gz.\n\n -- imgrec maintainers <maintainers@imgrec.invalid>  ${NOW}\n")
foreach(TEXT ${PACKAGE_DIR}/changelog ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
  get_filename_component(NAME ${TEXT} NAME)
  execute_process(COMMAND gzip -9n -c ${TEXT} OUTPUT_FILE ${PACKAGE_DIR}/${NAME}.gz COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${PACKAGE_DIR}/${NAME}.gz DESTINATION share/doc/imgrec COMPONENT package EXCLUDE_FROM_ALL)
endforeach()

# The program says what it is made of, its manual page and completions. When it was built for another processor, an emulator runs it.
string(JOIN " " EMULATOR ${CMAKE_CROSSCOMPILING_EMULATOR})
if(CMAKE_CROSSCOMPILING)
  set(OTHER_SYSTEM "--root ${CMAKE_SYSROOT} --emulator \"${EMULATOR}\"")
endif()

# For those who look for known faults in it.
install(CODE "execute_process(COMMAND python3 -B ${PROJECT_SOURCE_DIR}/configs/package/sbom.py --binary ${CMAKE_BINARY_DIR}/imgrec ${OTHER_SYSTEM}
  OUTPUT_FILE ${PACKAGE_DIR}/imgrec.cdx.json COMMAND_ERROR_IS_FATAL ANY)" COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE_DIR}/imgrec.cdx.json DESTINATION share/doc/imgrec COMPONENT package EXCLUDE_FROM_ALL)

install(CODE "
  foreach(TEXT manual \"completion bash\" \"completion zsh\" \"completion fish\")
    string(REPLACE \" \" \"_\" NAME \"\${TEXT}\")
    separate_arguments(WORDS UNIX_COMMAND \"\${TEXT}\")
    execute_process(COMMAND ${EMULATOR} ${CMAKE_BINARY_DIR}/imgrec \${WORDS} OUTPUT_FILE ${PACKAGE_DIR}/\${NAME} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND gzip -9n -c ${PACKAGE_DIR}/manual OUTPUT_FILE ${PACKAGE_DIR}/imgrec.1.gz COMMAND_ERROR_IS_FATAL ANY)"
  COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE_DIR}/imgrec.1.gz DESTINATION share/man/man1 COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE_DIR}/completion_bash DESTINATION share/bash-completion/completions RENAME imgrec COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE_DIR}/completion_zsh DESTINATION share/zsh/vendor-completions RENAME _imgrec COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE_DIR}/completion_fish DESTINATION share/fish/vendor_completions.d RENAME imgrec.fish COMPONENT package EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME imgrec)
set(CPACK_PACKAGE_VENDOR imgrec)
set(CPACK_PACKAGE_CONTACT "imgrec maintainers <maintainers@imgrec.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "elastic image recognition in one program")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "People and programs upload images over HTTP, workers classify them with a
neural network, and a controller starts and stops workers as demand moves:
on one machine, or on SQS, S3 and EC2.")
# For systemd-sysusers.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL imgrec openvino package)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(IMGREC_HAS_OPENVINO)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${IMGREC_OPENVINO_DIR}/lib)
endif()
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
  list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
  # Where dpkg-shlibdeps, which CPack runs, finds the packages of the other system's libraries.
  set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/arm64/cpack.cmake)
  set(CPACK_IMGREC_ROOT ${CMAKE_SYSROOT})
endif()
# Loaded by name where it is there: HEIC and AVIF.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libheif1, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/configs/package/conffiles
  ${PROJECT_SOURCE_DIR}/configs/package/postinst ${PROJECT_SOURCE_DIR}/configs/package/prerm
  ${PROJECT_SOURCE_DIR}/configs/package/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
