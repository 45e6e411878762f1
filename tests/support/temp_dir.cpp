#include "tests/support/temp_dir.hpp"

#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"

namespace imgrec::test {

TempDir::TempDir() : path_(std::filesystem::temp_directory_path() / ("imgrec-test-" + random_hex(system_rng(), 8))) {
  std::filesystem::create_directories(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;  // a test that fails half way may have taken rights away
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace imgrec::test
