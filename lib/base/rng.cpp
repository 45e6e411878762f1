#include "lib/base/rng.hpp"

#include <sys/random.h>

#include <cstdlib>

namespace imgrec {
namespace {

class SystemRng final : public Rng {
 public:
  std::uint64_t next() override {
    std::uint64_t bits = 0;
    // For up to 256 bytes getrandom neither blocks (after boot) nor returns short; without it no id is safe.
    if (getrandom(&bits, sizeof bits, 0) != sizeof bits) std::abort();
    return bits;
  }
};

}  // namespace

Rng& system_rng() {
  static SystemRng rng;
  return rng;
}

}  // namespace imgrec
