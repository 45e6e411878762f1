#include "cmd/platform/prefixed_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/store_contract.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::prefixed_store_test {
namespace {

using test::FakeClock;
using test::MemoryStore;
using test::StoreContract;
using test::StoreHarness;
using test::StoreWorld;

class PrefixedStoreWorld final : public StoreWorld {
 public:
  PrefixedStoreWorld() {
    auto inner = std::make_unique<MemoryStore>(clock_);
    // Neighbours before and after, which nothing may see.
    for (const char* key : {"team", "team/imgre", "team/imgrec", "team/imgrec-2/x", "zzz"}) {
      EXPECT_TRUE(inner->put(ObjectKey(key), "a neighbour's", {}));
    }
    store_ = make_prefixed_store(std::move(inner), "team/imgrec/");
  }
  ObjectStore& store() override { return *store_; }

 private:
  FakeClock clock_;
  std::unique_ptr<ObjectStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Prefixed, StoreContract,
                         testing::Values(StoreHarness{"Prefixed", [] { return std::make_unique<PrefixedStoreWorld>(); },
                                                      1024 - 12}),
                         testing::PrintToStringParamName());

TEST(PrefixedStore, ItsObjectsLieUnderThePrefix) {
  FakeClock clock;
  auto memory = std::make_unique<MemoryStore>(clock);
  MemoryStore& inner = *memory;
  const auto store = make_prefixed_store(std::move(memory), "team/");
  ASSERT_TRUE(store->put(ObjectKey("inputs/a"), "bytes", {}));
  EXPECT_EQ(test::bytes_of(inner.get(ObjectKey("team/inputs/a"), 100)), "bytes");
  EXPECT_EQ(store->head(ObjectKey("inputs/a"))->key, ObjectKey("inputs/a"));
  for (const char* key : {"", "/x"}) EXPECT_EQ(store->put(ObjectKey(key), "x", {}).error().code, "bad_key") << key;
}

}  // namespace
}  // namespace imgrec::prefixed_store_test
