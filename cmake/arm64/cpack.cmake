# For dpkg-shlibdeps: the packages of the arm64 root, in place of this system's.
set(ENV{DPKG_ADMINDIR} ${CPACK_IMGREC_ROOT}/var/lib/dpkg)
set(ENV{DEB_HOST_ARCH} ${CPACK_DEBIAN_PACKAGE_ARCHITECTURE})
