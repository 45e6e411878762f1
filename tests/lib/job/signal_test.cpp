#include "lib/job/signal.hpp"

#include <gtest/gtest.h>

#include <string>

namespace imgrec::signal_test {
namespace {

const Signal kWorked{.kind = SignalKind::worked,
                     .sender = "app-tier-7",
                     .life = "5f3c",
                     .sequence = 12,
                     .images = 340,
                     .span = Millis(10'000),
                     .busy_share = 0.25,
                     .idle = Millis(1'500)};

TEST(Signal, RoundTripsOfEveryKind) {
  for (const SignalKind kind :
       {SignalKind::enqueued, SignalKind::ready, SignalKind::worked, SignalKind::draining, SignalKind::ended}) {
    Signal signal = kWorked;
    signal.kind = kind;
    const auto read = parse_signal(to_json(signal));
    ASSERT_TRUE(read) << to_json(signal);
    EXPECT_EQ(*read, signal);
  }
}

TEST(Signal, IsWrittenAsItIsDocumented) {
  EXPECT_EQ(to_json(kWorked),
            R"({"v":1,"kind":"worked","sender":"app-tier-7","life":"5f3c","sequence":12,"images":340,"span_ms":10000,)"
            R"("busy_share":0.25,"idle_ms":1500})");
  EXPECT_EQ(to_json({.kind = SignalKind::ready, .sender = "a", .life = "b", .sequence = 1}),
            R"({"v":1,"kind":"ready","sender":"a","life":"b","sequence":1})");
}

TEST(Signal, RefusesWhatNoSenderSends) {
  const std::string begin = R"({"kind":"worked","sender":"a","life":"b","sequence":1)";
  EXPECT_TRUE(parse_signal(begin + "}"));
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("nothing"), std::string(R"({"kind":"worked"})"),
        std::string(R"({"kind":"other","sender":"a","life":"b","sequence":1})"),
        std::string(R"({"kind":"worked","sender":"","life":"b","sequence":1})"),
        R"({"kind":"worked","life":"b","sequence":1,"sender":")" + std::string(101, 'a') + "\"}",
        std::string(R"({"kind":"worked","sender":"a","life":"b","sequence":0})"),
        std::string(R"({"kind":"worked","sender":"a","life":"b","sequence":-1})"), begin + R"(,"images":-1})",
        begin + R"(,"images":1.5})", begin + R"(,"images":1000000001})", begin + R"(,"span_ms":86400001})",
        begin + R"(,"busy_share":1.01})", begin + R"(,"busy_share":-0.1})", begin + R"(,"busy_share":"0.1"})",
        begin + R"(,"idle_ms":true})"}) {
    const auto read = parse_signal(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, "bad_signal");
  }
}

}  // namespace
}  // namespace imgrec::signal_test
