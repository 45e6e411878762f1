// The documents that travel between imgrec's processes or stay in its store: an example of each as this version writes
// it, and reading one of any version.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec::test {

struct Format {
  std::string name;                                             // "job_request"
  std::string example;                                          // with every member that there may be
  std::function<Result<std::string>(std::string_view)> reread;  // what was read of a document, written again
};

std::vector<Format> formats();

}  // namespace imgrec::test
