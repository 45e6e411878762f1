# How every target of the project is built: warnings are errors, sanitizers on request, includes from the project's root.
add_library(imgrec_flags INTERFACE)
target_include_directories(imgrec_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(imgrec_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # g++ 12 reports these for the standard library's own code (std::string at -O2, std::stop_source): GCC bug 105329.
  -Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow
  -fstack-protector-strong -D_GLIBCXX_ASSERTIONS)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  # Products and sums are rounded one by one, as on x86-64: the same numbers on both. Kernels that may do otherwise say so.
  target_compile_options(imgrec_flags INTERFACE -ffp-contract=off)
endif()
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
if(IMGREC_SANITIZERS STREQUAL "thread")
  # The thread sanitizer of g++ 12 cannot use addresses that are chosen at random among very many.
  execute_process(COMMAND setarch -R true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
  if(NOT refused)
    set(IMGREC_TEST_LAUNCHER setarch -R)
  endif()
endif()

# The builds of `./dev` (CMakePresets.json) compile eight files of a library or a test program as one, since much of the time goes
# into reading headers and into the templates that each file would make anew. So what is local to a file has a name of its own in
# its library, and a test file has a namespace of its own. clang-tidy and the preset `dev`, in which a change compiles one file,
# take each by itself. inference/ never does it.
if(CMAKE_UNITY_BUILD)
  # A class of a source file may have members of types that are local to that file.
  target_compile_options(imgrec_flags INTERFACE -Wno-subobject-linkage)
endif()

# The standard headers that nearly every file reads, compiled once for all libraries; those of tests are in tests/CMakeLists.txt.
# Asio, OpenCV, nlohmann's JSON and the like stay out: loading them costs the files that do not use them more than it saves.
# clang-tidy builds without them (CMAKE_DISABLE_PRECOMPILE_HEADERS), and so finds a missing #include.
set(IMGREC_PRECOMPILED_HEADERS
  <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <cstring> <deque> <expected> <filesystem> <fstream>
  <functional> <map> <memory> <mutex> <optional> <set> <span> <sstream> <stop_token> <string> <string_view> <thread> <unordered_map>
  <utility> <vector>)
# What libraries use. A folder with other options than those sets it to nothing.
set(IMGREC_PRECOMPILED imgrec_precompiled)

# imgrec_precompile(NAME HEADERS…): the object library NAME, whose precompiled headers others take with REUSE_FROM.
function(imgrec_precompile name)
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "// Precompiled headers need a source file.\n")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PUBLIC imgrec_flags)
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()
imgrec_precompile(imgrec_precompiled ${IMGREC_PRECOMPILED_HEADERS})

# imgrec_library(NAME SOURCES a.cpp … [LINKS public…] [PRIVATE_LINKS private…]): a static library imgrec_NAME.
function(imgrec_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  if(ARG_SOURCES)
    add_library(imgrec_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(imgrec_${name} PUBLIC imgrec_flags ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
    if(IMGREC_PRECOMPILED)
      target_precompile_headers(imgrec_${name} REUSE_FROM ${IMGREC_PRECOMPILED})
    endif()
  else()
    add_library(imgrec_${name} INTERFACE)
    target_link_libraries(imgrec_${name} INTERFACE imgrec_flags ${ARG_LINKS})
  endif()
endfunction()

# imgrec_emulated(NAME): the test NAME learns how to start programs of this build in the emulator, and may take long.
function(imgrec_emulated name)
  list(JOIN CMAKE_CROSSCOMPILING_EMULATOR " " emulator)
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "IMGREC_TEST_EMULATOR=${emulator}")
  set_tests_properties(${name} PROPERTIES TIMEOUT 3000)
endfunction()

# `./dev test` runs those tests of this build that have the label "everyday", and builds the target everyday_tests for them.
# Builds with sanitizers name them after those, because the tests of three builds run as one (web, web.address, web.thread).
# Four at once for each processor: most wait for something, for most of their time. A program of unit tests counts as two of the
# four, and a Python test that is BUSY, because it keeps a processor busy by itself, as three. What takes long begins first (COST), so
# that the run does not end with one processor waiting for it.
add_custom_target(everyday_tests)
string(REGEX REPLACE "^([a-z]+).*" ".\\1" IMGREC_TEST_SUFFIX "${IMGREC_SANITIZERS}")

# imgrec_everyday(TEST LABELS TARGET…): makes the test an everyday one, if its labels say so, and has the targets built for it.
function(imgrec_everyday test labels)
  if(IMGREC_SANITIZERS STREQUAL "thread")
    set(wanted threads)
  elseif(IMGREC_SANITIZERS)
    set(wanted unit)
    set(unwanted no-sanitizers)
  elseif(CMAKE_CROSSCOMPILING)
    set(wanted unit emulated)
  else()
    set(wanted e2e no-sanitizers release-too)
    set(unwanted models)
  endif()
  set(everyday OFF)
  foreach(label ${wanted})
    if(label IN_LIST labels)
      set(everyday ON)
    endif()
  endforeach()
  foreach(label ${unwanted})
    if(label IN_LIST labels)
      set(everyday OFF)
    endif()
  endforeach()
  if(everyday)
    list(APPEND labels everyday)
    add_dependencies(everyday_tests ${ARGN})
  endif()
  set_tests_properties(${test} PROPERTIES LABELS "${labels}")
endfunction()

# imgrec_test(NAME SOURCES a_test.cpp … [LINKS …] [LABELS …] [TIMEOUT s] [ONE_THREAD suite.test …]): one GoogleTest program, one
# ctest entry. `./dev test` runs each with the address sanitizer, but for those with these labels:
#   no-sanitizers  in the release build alone      release-too  in both
#   threads        with the thread sanitizer too
# ONE_THREAD: patterns of tests that take long and do one thing after the other, in which the thread sanitizer has nothing to find.
function(imgrec_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS;ONE_THREAD" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE imgrec_flags ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name}_test REUSE_FROM imgrec_precompiled_tests)
  set(left_out "")
  if(IMGREC_SANITIZERS STREQUAL "thread")
    set(left_out ${ARG_ONE_THREAD})
  endif()
  if(CMAKE_CROSSCOMPILING)
    # Lines of three: the program, its tests that an emulator cannot run (as GoogleTest's filters say it), why.
    file(STRINGS ${PROJECT_SOURCE_DIR}/cmake/arm64/not-emulated.txt left_out REGEX "^${name} ")
    list(TRANSFORM left_out REPLACE "^[^ ]+ +([^ ]+) .*" "\\1")
  endif()
  set(filter "")
  if(left_out)
    list(JOIN left_out ":" left_out)
    set(filter --gtest_filter=-${left_out})
  endif()
  set(test ${name}${IMGREC_TEST_SUFFIX})
  set(program ${name}_test)
  if(IMGREC_TEST_LAUNCHER)
    set(program ${IMGREC_TEST_LAUNCHER} $<TARGET_FILE:${name}_test>)
  endif()
  add_test(NAME ${test} COMMAND ${program} --gtest_brief=1 ${filter})
  imgrec_everyday(${test} "unit;${ARG_LABELS}" ${name}_test)
  set_tests_properties(${test} PROPERTIES TIMEOUT 300 PROCESSORS 2 ENVIRONMENT "${IMGREC_TEST_ENVIRONMENT}")
  if(IMGREC_SANITIZERS AND threads IN_LIST ARG_LABELS)
    # They wait for most of their time: others are to run meanwhile.
    set_tests_properties(${test} PROPERTIES COST 1000)
  elseif(IMGREC_SANITIZERS)
    set_tests_properties(${test} PROPERTIES COST 500)
  endif()
  if(ARG_TIMEOUT)
    set_tests_properties(${test} PROPERTIES TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT})
  endif()
  if(CMAKE_CROSSCOMPILING)
    imgrec_emulated(${test})
  endif()
endfunction()

# imgrec_python_test(NAME a_test.py… [PROGRAMS target…] [LABELS …] [TIMEOUT s] [ALONE] [BUSY]): pytest files run against the built
# binary. PROGRAMS: what else it runs. They are built for it, and it finds them with imgrec.program(), which knows no others.
# ALONE: it measures time, so that nothing runs beside it. The label emulated: `./dev test --arm64` runs it too.
function(imgrec_python_test name)
  cmake_parse_arguments(ARG "ALONE;BUSY" "TIMEOUT" "PROGRAMS;LABELS" ${ARGN})
  list(TRANSFORM ARG_UNPARSED_ARGUMENTS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  set(programs "")
  foreach(program ${ARG_PROGRAMS})
    string(APPEND programs "${program}=$<TARGET_FILE:${program}>:")
  endforeach()
  set(test ${name}${IMGREC_TEST_SUFFIX})
  add_test(NAME ${test} COMMAND ${IMGREC_PYTHON} -m pytest -q -rs -p no:cacheprovider ${files})
  imgrec_everyday(${test} "e2e;${ARG_LABELS}" imgrec ${ARG_PROGRAMS})
  set_tests_properties(${test} PROPERTIES TIMEOUT 600 RUN_SERIAL ${ARG_ALONE}
    ENVIRONMENT "IMGREC_BINARY=$<TARGET_FILE:imgrec>;IMGREC_BUILD_DIR=${CMAKE_BINARY_DIR};IMGREC_TEST_PROGRAMS=${programs};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/support;${IMGREC_TEST_ENVIRONMENT}")
  if(ARG_TIMEOUT)
    set_tests_properties(${test} PROPERTIES TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT})
  endif()
  if(ARG_BUSY)
    set_tests_properties(${test} PROPERTIES PROCESSORS 3 COST 10000)
  endif()
  if(CMAKE_CROSSCOMPILING)
    imgrec_emulated(${test})
    # dpkg-query in the test then knows the packages of the other system.
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "DPKG_ADMINDIR=${CMAKE_SYSROOT}/var/lib/dpkg")
  endif()
endfunction()
