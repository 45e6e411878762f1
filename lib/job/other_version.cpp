#include "lib/job/other_version.hpp"

#include <string>

namespace imgrec {

std::unexpected<Error> other_version(std::string_view what) {
  return fail(ErrorKind::transient, std::string(kOtherVersionCode),
              "The " + std::string(what) +
                  " is of another version of imgrec. It is left as it is: update this program, or whichever is older.");
}

}  // namespace imgrec
