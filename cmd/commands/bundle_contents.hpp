// What a bundle says of itself (aws/deploy/make_bundle.py writes it: bundle.json in a .tar.gz).
#pragma once

#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

inline constexpr std::uint64_t kBundleBytesMax = 4ULL * 1024 * kMiB;  // S3 takes 5 GiB in one call

struct BundleContents {
  std::string version;       // of the program in it: "0.1.0"
  std::string architecture;  // "x86_64", "aarch64"
  std::vector<std::string> models;
};

/// Reads the packed bundle up to its bundle.json. Errors: invalid "no_bundle".
Result<BundleContents> bundle_contents(ByteView packed);

}  // namespace imgrec
