# How every target of the project is built: warnings are errors, sanitizers on request, includes from the project's root.
add_library(imgrec_flags INTERFACE)
target_include_directories(imgrec_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(imgrec_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # g++ 12 reports these two for the standard library's own code (std::string at -O2, std::stop_source): GCC bug 105329.
  -Wno-restrict -Wno-maybe-uninitialized
  -fstack-protector-strong -D_GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(imgrec_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(IMGREC_SANITIZERS)
  target_compile_options(imgrec_flags INTERFACE -fsanitize=${IMGREC_SANITIZERS} -fno-sanitize-recover=all)
  target_link_options(imgrec_flags INTERFACE -fsanitize=${IMGREC_SANITIZERS})
  # TBB, beneath OpenVINO, loads its parts in a way that sanitizers end the program for, unless it is told of them.
  set(IMGREC_TEST_ENVIRONMENT TBB_ENABLE_SANITIZERS=1
    LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/leaks.txt:print_suppressions=0)
endif()

# imgrec_library(NAME SOURCES a.cpp … [LINKS public…] [PRIVATE_LINKS private…]): a static library imgrec_NAME.
function(imgrec_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  if(ARG_SOURCES)
    add_library(imgrec_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(imgrec_${name} PUBLIC imgrec_flags ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  else()
    add_library(imgrec_${name} INTERFACE)
    target_link_libraries(imgrec_${name} INTERFACE imgrec_flags ${ARG_LINKS})
  endif()
endfunction()

# imgrec_test(NAME SOURCES a_test.cpp … [LINKS …] [LABELS …] [TIMEOUT s]): one GoogleTest program, one ctest entry. `./dev test`
# runs each with the address sanitizer, but for those with these labels:
#   no-sanitizers  in the release build alone      release-too  in both
#   threads        with the thread sanitizer too
# unit_tests, release_tests and thread_tests (tests/CMakeLists.txt) build what each of these runs needs.
function(imgrec_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE imgrec_flags ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name}_test --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS "unit;${ARG_LABELS}" TIMEOUT 300
    ENVIRONMENT "${IMGREC_TEST_ENVIRONMENT}")
  if(ARG_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
  if(NOT no-sanitizers IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name}_test)
  endif()
  if(no-sanitizers IN_LIST ARG_LABELS OR release-too IN_LIST ARG_LABELS)
    add_dependencies(release_tests ${name}_test)
  endif()
  if(threads IN_LIST ARG_LABELS)
    add_dependencies(thread_tests ${name}_test)
  endif()
endfunction()

# imgrec_python_test(NAME FILE a_test.py [LABELS …] [TIMEOUT s] [ALONE]): one pytest file run against the built binary. ALONE: it
# measures time, so that nothing runs beside it.
function(imgrec_python_test name file)
  cmake_parse_arguments(ARG "ALONE" "TIMEOUT" "LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${IMGREC_PYTHON} -m pytest -q -rs -p no:cacheprovider ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_tests_properties(${name} PROPERTIES LABELS "e2e;${ARG_LABELS}" TIMEOUT 600 RUN_SERIAL ${ARG_ALONE}
    ENVIRONMENT "IMGREC_BINARY=$<TARGET_FILE:imgrec>;IMGREC_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/support;${IMGREC_TEST_ENVIRONMENT}")
  if(ARG_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()
