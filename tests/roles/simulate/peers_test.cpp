// Each peer's formula by table, from the documents that its file names.
#include "roles/simulate/peers/peer.hpp"

#include <gtest/gtest.h>

#include "roles/simulate/tuning.hpp"

namespace imgrec::simulate::peers_test {
namespace {

/// Looks that a peer makes of a fleet that does at once what it is told.
class PeerTest : public testing::Test {
 protected:
  std::unique_ptr<Scaler> make(const char* name, KnobValues knobs = {}, int machines_max = 100) {
    const Peer peer = *find_peer(name);
    if (knobs.empty()) knobs = peer.documented();
    return peer.make(knobs, {.kind = kind_, .machines_max = machines_max, .wanted_wait_s = 30})();
  }
  /// The machines after a look at so many messages.
  int look(Scaler& scaler, std::uint64_t visible, std::uint64_t in_flight = 0) {
    now_ += scaler.period();
    Observation observation{.at = now_, .depth = {.visible = visible, .in_flight = in_flight}};
    for (int i = 0; i < machines_; ++i) {
      observation.instances.push_back(
          {.id = InstanceId(std::to_string(i)), .state = InstanceState::running, .app_tier_id = "", .launched_at = {}});
      observation.signals.instances.push_back({.idle_since = i < idle_ ? std::optional(idle_since_) : std::nullopt});
    }
    const Actions actions = scaler.look(observation).actions;
    machines_ += actions.launch - static_cast<int>(actions.terminate.size());
    idle_ = 0;
    return machines_;
  }
  int looks(Scaler& scaler, int count, std::uint64_t visible) {
    for (int i = 0; i < count; ++i) look(scaler, visible);
    return machines_;
  }

  const WorkerKind kind_ = *find_worker_kind("reference");
  MonoTime now_ = kBegin;
  int machines_ = 0;
  int idle_ = 0;
  MonoTime idle_since_{};
};

TEST_F(PeerTest, KedaActivatesThenFollowsMessagesPerPodWithTheHpasLimits) {
  const auto keda = make("keda");
  EXPECT_EQ(look(*keda, 0), 0);
  EXPECT_EQ(look(*keda, 100), 1) << "from zero to one";
  EXPECT_EQ(look(*keda, 100), 5) << "four pods more in 15 s";
  EXPECT_EQ(look(*keda, 100), 10) << "or twice as many";
  EXPECT_EQ(look(*keda, 90, 10), 20) << "100 messages / 5";
  EXPECT_EQ(look(*keda, 105), 20) << "within the tolerance of 10 %";
  EXPECT_EQ(look(*keda, 150), 30);
}

TEST_F(PeerTest, KedaGoesDownAfterItsWindowsAndNodesAfterTenMinutesMore) {
  const auto keda = make("keda");
  looks(*keda, 8, 100);
  ASSERT_EQ(machines_, 20);
  EXPECT_EQ(looks(*keda, 58, 0), 20) << "pods went after five minutes, their nodes wait";
  EXPECT_EQ(look(*keda, 0), 0) << "15 minutes after the last message";
}

TEST_F(PeerTest, KedaPollsFromZeroAsOftenAsItIsTold) {
  const auto keda = make("keda", {5, 60, 0, 0, 0});
  EXPECT_EQ(look(*keda, 1), 1);
  EXPECT_EQ(look(*keda, 0), 0) << "no cooldown";
  EXPECT_EQ(look(*keda, 1), 0) << "the next poll is a minute after the last";
  EXPECT_EQ(looks(*keda, 2, 1), 1);
}

TEST_F(PeerTest, SageMakerStepsFromZeroAndTracksFiveMessagesAnInstance) {
  const auto sagemaker = make("sagemaker");
  EXPECT_EQ(look(*sagemaker, 40), 0);
  EXPECT_EQ(look(*sagemaker, 40), 1) << "a backlog without capacity in 2 of 2 minutes";
  EXPECT_EQ(looks(*sagemaker, 2, 40), 1);
  EXPECT_EQ(look(*sagemaker, 40), 8) << "3 of 3 minutes above 5: 40 / 5";
  EXPECT_EQ(looks(*sagemaker, 14, 0), 8);
  EXPECT_EQ(look(*sagemaker, 0), 0) << "15 of 15 minutes below, and more than 600 s since it went out";
}

TEST_F(PeerTest, TheGroupHasOneInstanceAndTracksWhatEachWorksOffInTheWantedWait) {
  const auto group = make("asg-tracking");
  EXPECT_EQ(look(*group, 0), 1);
  // 30 s × 0.8 images/s = 24 messages per instance.
  EXPECT_EQ(looks(*group, 2, 240), 1);
  EXPECT_EQ(look(*group, 240), 10);
  EXPECT_EQ(looks(*group, 14, 0), 10);
  EXPECT_EQ(look(*group, 0), 1) << "never fewer";
  EXPECT_EQ(looks(*group, 3, 24'000), 100) << "never more than its maximum";
}

TEST_F(PeerTest, BuildkiteWantsOneAgentPerJobAndIdleInstancesEndThemselves) {
  const auto buildkite = make("buildkite");
  EXPECT_EQ(look(*buildkite, 7, 2), 9);
  EXPECT_EQ(look(*buildkite, 0), 9) << "it does not scale in";
  idle_ = 4;
  idle_since_ = now_ - std::chrono::seconds(600);
  EXPECT_EQ(look(*buildkite, 0), 5) << "but those that were idle for 10 minutes go";
  EXPECT_EQ(look(*buildkite, 500), 100);
  const auto gentle = make("buildkite", {600, 0.5});
  machines_ = 0;
  EXPECT_EQ(look(*gentle, 10), 5) << "half of what is missing";
}

TEST_F(PeerTest, UnknownPeersAreToldWhichThereAre) {
  EXPECT_NE(find_peer("other").error().message.find("sagemaker"), std::string::npos);
}

TEST(Tuning, FindsABetterConfigurationAndKeepsItInAFile) {
  const WorkerKind kind = *find_worker_kind("reference");
  const Scenario burst =
      *parse_scenario("duration = \"30m\"\n[[arrivals]]\nfrom = \"1m\"\nimages = 60", "b.toml", kind);
  const std::vector<Course> courses = {course(burst, kind)};
  const Peer peer = *find_peer("buildkite");
  const KnobValues best = tune(peer, courses);
  ASSERT_EQ(best.size(), peer.knobs.size());
  const auto of = [&](const KnobValues& knobs) {
    return score(run_course(courses[0], {contender(peer, knobs, "peer")}, 1));
  };
  EXPECT_LT(of(best), of(peer.documented())) << "ten idle minutes of twenty machines can be avoided";
  const auto read = parse_tuned(to_toml({{"buildkite", best}}), "tuned.toml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->at("buildkite"), best);
  EXPECT_EQ(parse_tuned("[buildkite]\nScaleOutFactor = 1", "t.toml").error().code, "bad_tuning");
  EXPECT_EQ(parse_tuned("[other]\na = 1", "t.toml").error().code, "no_such_peer");
}

}  // namespace
}  // namespace imgrec::simulate::peers_test
