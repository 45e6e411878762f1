# Builds for arm64 on another machine, with Debian's cross compiler and the libraries that cmake/arm64/root.sh unpacked. What the build
# runs of its own, tests above all, goes through QEMU. `./dev test --arm64` prepares all of this.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
get_filename_component(IMGREC_ARM64_ROOT ${CMAKE_CURRENT_LIST_DIR}/../../build/arm64-root ABSOLUTE)
get_filename_component(IMGREC_QEMU ${CMAKE_CURRENT_LIST_DIR}/../../build/qemu-user-static/usr/bin/qemu-aarch64-static ABSOLUTE)

set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_SYSROOT ${IMGREC_ARM64_ROOT})
# The processor of Graviton2 (t4g, m6g, c6g), the oldest that EC2 offers after the first Graviton.
set(CMAKE_CROSSCOMPILING_EMULATOR ${IMGREC_QEMU} -cpu neoverse-n1 -L ${IMGREC_ARM64_ROOT})

set(CMAKE_FIND_ROOT_PATH ${IMGREC_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${IMGREC_ARM64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${IMGREC_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${IMGREC_ARM64_ROOT}/usr/share/pkgconfig)
