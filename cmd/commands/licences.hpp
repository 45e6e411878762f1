// configs/package/copyright, embedded at build time: the package and the program say the same.
#pragma once

#include <string_view>

namespace imgrec {

/// In Debian's machine-readable form of copyright files, which people can read as well.
extern const std::string_view kLicences;

}  // namespace imgrec
