#include "lib/job/leader_lease.hpp"

#include <gtest/gtest.h>

namespace imgrec::leader_lease_test {
namespace {

TEST(LeaderLeaseDocument, SurvivesTheStore) {
  LeaderLease lease{.epoch = 7,
                    .holder = "gateway:4711:0f",
                    .renewals = 12,
                    .length = Millis(20'000),
                    .released = true,
                    .at = WallTime(Seconds(1'790'000'000))};
  EXPECT_EQ(parse_leader_lease(to_json(lease)), lease);
  lease.fleet = "cats";
  EXPECT_EQ(parse_leader_lease(to_json(lease)), lease);
  lease.launches = {{.token = LaunchToken("7-ab"), .count = 3, .total = 5, .plan = "a \"plan\"\n"},
                    {.token = LaunchToken("7-cd"), .count = 1, .total = 6, .plan = {}}};
  EXPECT_EQ(parse_leader_lease(to_json(lease)), lease);
}

TEST(LeaderLeaseDocument, ReadsNothingElse) {
  const std::string good = to_json(LeaderLease{.epoch = 1, .holder = "h", .launches = {{LaunchToken("t"), 1, 1, ""}}});
  ASSERT_TRUE(parse_leader_lease(good));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    return at == std::string::npos ? "not in the document: " + from : text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[]"), std::string("null"), with(R"("v":1)", R"("v":2)"),
        with(R"("epoch":1)", R"("epoch":-1)"), with(R"("epoch":1)", R"("epoch":"1")"),
        with(R"("holder":"h")", R"("holder":"")"), with(R"("released":false)", R"("released":0)"),
        with(R"("token":"t")", R"("token":7)"), with(R"("count":1)", R"("count":-1)"),
        with(R"("length_ms":0)", R"("length":0)")}) {
    const auto parsed = parse_leader_lease(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "bad_leader_lease");
  }
}

}  // namespace
}  // namespace imgrec::leader_lease_test
