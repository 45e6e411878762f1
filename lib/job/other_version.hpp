// Documents of another version of imgrec. While a service is updated, processes of two versions work on the same queues
// and stores; and whoever goes back to an earlier version finds what the later one has left.
//
// The rule for readers: what is of another version is neither taken for something else nor replaced nor removed. It
// stays for a process that can read it.
#pragma once

#include <string_view>

#include "lib/base/result.hpp"

namespace imgrec {

/// The code of the error for such a document. It is transient: another process can read it, and this one may when it is
/// updated.
inline constexpr std::string_view kOtherVersionCode = "other_version";

/// what: as "result document".
std::unexpected<Error> other_version(std::string_view what);

inline bool is_other_version(const Error& error) {
  return error.code == kOtherVersionCode;
}

}  // namespace imgrec
