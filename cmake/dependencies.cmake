# Libraries, all from Debian 12 (`./dev setup` installs them).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED COMPONENTS core)
find_package(tomlplusplus REQUIRED)
find_package(pugixml 1.13 REQUIRED)
find_package(simdjson 3.0 REQUIRED)
find_package(ZLIB REQUIRED)

pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
# libjpeg-turbo's inner structures, which Debian's package installs: with them the entropy decoder can be replaced by a
# quicker one. Without them JPEGs are decoded all the same.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::JPEG)
check_cxx_source_compiles("
#include <cstdio>
#include <jpeglib.h>
extern \"C\" {
#include <jpegint.h>
}
int main() {
  jpeg_decompress_struct jpeg{};
  boolean (*decode)(j_decompress_ptr, JBLOCKROW*) = nullptr;
  jpeg.entropy->decode_mcu = decode;
  (*jpeg.inputctl->finish_input_pass)(&jpeg);
  return LIBJPEG_TURBO_VERSION_NUMBER >= 2000000 ? jpeg.inputctl->has_multiple_scans : 1;
}" IMGREC_HAVE_JPEG_INTERNALS)
unset(CMAKE_REQUIRED_LIBRARIES)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(TIFF REQUIRED IMPORTED_TARGET libtiff-4)
find_package(GIF 5 REQUIRED)

# OpenCV's core, imgproc and dnn only. Debian keeps OpenCVConfig.cmake in libopencv-dev, which pulls in all modules
# (and with imgcodecs all of GDAL: 50 packages, slower start); so the three libraries are found by name.
find_path(OPENCV_INCLUDE_DIR opencv2/dnn.hpp PATH_SUFFIXES opencv4 REQUIRED)
add_library(imgrec_opencv INTERFACE)
target_include_directories(imgrec_opencv SYSTEM INTERFACE ${OPENCV_INCLUDE_DIR})
foreach(module core imgproc dnn)
  find_library(OPENCV_${module} opencv_${module} REQUIRED)
  target_link_libraries(imgrec_opencv INTERFACE ${OPENCV_${module}})
endforeach()

# OpenVINO: unpacked by `./dev setup` (inference/engine/openvino.sh). It and OpenCV both want a libtbb.so.12: the one of OpenVINO,
# which is newer, is linked by name, so that both get it.
set(IMGREC_OPENVINO AUTO CACHE STRING "The OpenVINO engine: AUTO (where it was unpacked), ON or OFF")
set(IMGREC_OPENVINO_DIR ${PROJECT_SOURCE_DIR}/build/openvino CACHE PATH "Where OpenVINO was unpacked: include/ and lib/")
file(GLOB OPENVINO_LIBRARY ${IMGREC_OPENVINO_DIR}/lib/libopenvino.so.*)
set(IMGREC_HAS_OPENVINO OFF CACHE INTERNAL "")
if(OPENVINO_LIBRARY AND NOT IMGREC_OPENVINO STREQUAL OFF)
  set(IMGREC_HAS_OPENVINO ON CACHE INTERNAL "")
  file(GLOB OPENVINO_LIBRARIES ${IMGREC_OPENVINO_DIR}/lib/*.so*)
  add_library(imgrec_openvino INTERFACE)
  target_include_directories(imgrec_openvino SYSTEM INTERFACE ${IMGREC_OPENVINO_DIR}/include)
  target_link_libraries(imgrec_openvino INTERFACE
    -Wl,--push-state,--no-as-needed ${IMGREC_OPENVINO_DIR}/lib/libtbb.so.12 -Wl,--pop-state ${OPENVINO_LIBRARY})
elseif(IMGREC_OPENVINO STREQUAL ON)
  message(FATAL_ERROR "There is no OpenVINO in ${IMGREC_OPENVINO_DIR}: `./dev setup` unpacks it.")
endif()

if(IMGREC_BUILD_TESTS)
  find_package(GTest 1.12 REQUIRED)
  find_program(IMGREC_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
endif()
if(IMGREC_BUILD_BENCHMARKS)
  find_package(benchmark 1.7 REQUIRED)
endif()
