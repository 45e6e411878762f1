// What every ObjectStore has to do: instantiate StoreContract with a harness.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "lib/ports/object_store.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::test {

/// One test's store, empty at first.
class StoreWorld {
 public:
  virtual ~StoreWorld() = default;
  virtual ObjectStore& store() = 0;
};

struct StoreHarness {
  std::string name;
  std::function<std::unique_ptr<StoreWorld>()> make_world;
  std::size_t key_bytes_max = 1024;  // less where the adapter itself needs a part of the key
};

inline std::ostream& operator<<(std::ostream& out, const StoreHarness& harness) {
  return out << harness.name;
}

class StoreContract : public testing::TestWithParam<StoreHarness> {
 protected:
  void SetUp() override { world_ = GetParam().make_world(); }
  ObjectStore& store() { return world_->store(); }
  void put(const std::string& key, const std::string& bytes = "x");
  /// All keys, page by page.
  std::vector<std::string> keys(const std::string& prefix = "", int page = 1000);

  std::unique_ptr<StoreWorld> world_;
};

}  // namespace imgrec::test
