#include "aws/deploy/machine_image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aws/deploy/fake_image_service.hpp"
#include "tests/aws/deploy/passing_clock.hpp"

namespace imgrec::machine_image_test {
namespace {

using aws::ImageStep;
using test::PassingClock;
using testing::HasSubstr;

const std::string kRecipe = "0123456789abcdef";

aws::MachineImage image_of(const std::string& id, const std::string& state, const std::string& recipe,
                           const std::string& at = "2026-01-01") {
  return {.id = id, .state = state, .reason = {}, .recipe = recipe, .created_at = at, .snapshots = {"snap-" + id}};
}

class MakeImage : public testing::Test {
 protected:
  MakeImage() {
    task_.builder.recipe = kRecipe;
    task_.builder.instance_type = "c7i.large";
    task_.image_name = "imgrec-worker-" + kRecipe;
    task_.holder = {.self = {.host = "laptop", .process = 7},
                    .is_running = [](long process) { return process == 8; },
                    .take_over = false};
  }
  Result<std::string> make() {
    return aws::make_image(
        service_, task_, [this](const std::string& line) { lines_.push_back(line); },
        [this] { return "token-" + std::to_string(++tokens_); }, clock_, stop_.get_token());
  }
  bool said(std::string_view words) const {
    return std::ranges::any_of(lines_, [&](const std::string& line) { return line.find(words) != line.npos; });
  }
  std::string holder(const char* host, long process) {
    return aws::describe_holder({.host = host, .process = process});
  }

  test::FakeImageService service_;
  PassingClock clock_;
  std::stop_source stop_;
  aws::ImageTask task_;
  std::vector<std::string> lines_;
  int tokens_ = 0;
};

TEST_F(MakeImage, FromNothingToAnImageAndNoBuilder) {
  const auto made = make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(*made, "ami-1");
  EXPECT_EQ(service_.launches, 1);
  EXPECT_EQ(service_.alive(), 0);
  EXPECT_EQ(service_.names, (std::vector<std::string>{task_.image_name}));
  EXPECT_TRUE(said("Launched the builder i-1"));
  EXPECT_TRUE(said("making the image"));
  const auto again = make();
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, "ami-1");
  EXPECT_EQ(service_.launches, 1) << "the same recipe has its image";
}

TEST_F(MakeImage, EndedAtAnyCallTheNextRunGoesOn) {
  for (const bool loses_answer : {false, true}) {
    int calls = 0;
    for (bool whole = false; !whole; ++calls) {
      ASSERT_LT(calls, 200);
      service_ = {};
      service_.calls_left = calls;
      service_.loses_answer = loses_answer;
      const auto first = make();
      whole = first.has_value();
      service_.calls_left = 1'000'000;
      const auto second = make();
      ASSERT_TRUE(second) << calls << " calls: " << second.error().message;
      EXPECT_EQ(service_.made.size(), 1u) << calls;
      EXPECT_EQ(service_.alive(), 0) << calls;
      EXPECT_EQ(service_.made.front().state, "available");
      // EC2 shows a machine later than it launches it: whoever begins in between launches a second one, and ends it.
      EXPECT_LE(service_.launches, 2) << calls;
      EXPECT_EQ(service_.creations, 1) << calls;
    }
    EXPECT_GT(calls, 15);
  }
}

TEST_F(MakeImage, InterruptedByAPersonItSaysSoAndLeavesTheBuilderToTheNextRun) {
  for (int at = 1; at < 9; ++at) {
    service_ = {};
    stop_ = {};
    PassingClock clock;
    clock.stop_at = at;
    clock.on_sleep = [&] { stop_.request_stop(); };
    const auto first =
        aws::make_image(service_, task_, [](const std::string&) {}, [] { return "t"; }, clock, stop_.get_token());
    ASSERT_FALSE(first) << at;
    EXPECT_EQ(first.error().kind, ErrorKind::cancelled);
    EXPECT_THAT(first.error().message, HasSubstr("The builder " + service_.machines.front().builder.id.str())) << at;
    EXPECT_THAT(first.error().message, HasSubstr("`imgrec undeploy` ends it"));
    stop_ = {};
    ASSERT_TRUE(make()) << at;
    EXPECT_EQ(service_.creations, 1) << at;
    EXPECT_EQ(service_.alive(), 0) << at;
  }
}

TEST_F(MakeImage, AnInstallationThatFailsShowsTheConsolesEndAndEndsTheBuilder) {
  service_.console_text =
      "Linux\nimgrec-install: S3 answered 403\x1b[0m\nimgrec-bake: failed: no bundle\nPower down.\n";
  const auto made = make();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "build_failed");
  EXPECT_TRUE(said("  imgrec-install: S3 answered 403[0m"));
  EXPECT_EQ(service_.alive(), 0);
  EXPECT_EQ(service_.creations, 0);
}

TEST_F(MakeImage, ABuilderThatDoesNotSayHowItEndedIsEnded) {
  service_.console_text = "Linux\n";
  EXPECT_EQ(make().error().code, "build_failed");
  EXPECT_EQ(service_.alive(), 0);
  service_.console_late = 1'000'000;
  EXPECT_EQ(make().error().code, "build_failed");
  EXPECT_EQ(service_.alive(), 0);
}

TEST_F(MakeImage, ABuilderThatHangsIsEnded) {
  service_.add("i-9", "hung", kRecipe, holder("laptop", 9));
  EXPECT_EQ(make().error().code, "build_failed");
  EXPECT_EQ(service_.alive(), 0);
}

TEST_F(MakeImage, AnImageThatFailsIsRemovedAndMadeAnewOnceMore) {
  service_.image_ends = "failed";
  service_.made.push_back(image_of("ami-0", "failed", kRecipe));
  service_.names.push_back(task_.image_name);
  service_.image_ends = "available";
  ASSERT_TRUE(make());
  EXPECT_TRUE(said("ami-0 is failed: removing it"));
  EXPECT_EQ(service_.made.size(), 1u);
}

TEST_F(MakeImage, BuildersThatSomebodyEndsAreNotLaunchedForEver) {
  PassingClock clock;
  const auto made = aws::make_image(
      service_, task_, [](const std::string&) {},
      [&] {
        for (auto& one : service_.machines) one.builder.state = "terminated";
        return "t";
      },
      clock, {});
  EXPECT_TRUE(made) << "the second one is left alone";
  service_ = {};
  service_.shown_late = 1'000'000;
  EXPECT_EQ(make().error().code, "builder_gone");
}

TEST_F(MakeImage, OfTwoAtOnceOneBuilderStays) {
  service_.add("i-a", "running", kRecipe, holder("another", 1));
  service_.add("i-b", "running", kRecipe, holder("laptop", 7));
  ASSERT_TRUE(make());
  EXPECT_TRUE(said("left over: i-b"));
  EXPECT_EQ(service_.launches, 0);
  EXPECT_EQ(service_.alive(), 0);
}

TEST_F(MakeImage, WhoBuildsAnotherImageIsNamed) {
  service_.add("i-a", "running", "another", holder("another", 1));
  const auto held = make();
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, "held");
  EXPECT_EQ(held.error().kind, ErrorKind::transient);
  EXPECT_NE(held.error().message.find("process 1 on another"), std::string::npos);
  EXPECT_EQ(service_.alive(), 1);
  task_.holder.take_over = true;
  ASSERT_TRUE(make());
  EXPECT_EQ(service_.alive(), 0);
}

TEST_F(MakeImage, BuildersOfProcessesThatEndedHereAreEnded) {
  service_.add("i-a", "stopped", "another", holder("laptop", 9));
  ASSERT_TRUE(make());
  EXPECT_EQ(service_.alive(), 0);
  service_ = {};
  service_.add("i-a", "stopped", "another", holder("laptop", 8));
  EXPECT_EQ(make().error().code, "held") << "process 8 runs";
}

TEST(BakedImages, TheConsoleTells) {
  EXPECT_EQ(aws::baked("Linux\n"), std::nullopt);
  EXPECT_EQ(aws::baked("imgrec-bake: ready\r\nPower down"), true);
  EXPECT_EQ(aws::baked("imgrec-bake: failed: no\n"), false);
  EXPECT_EQ(aws::last_lines("a\r\n\n\x1b[1mb\nc", 2), (std::vector<std::string>{"[1mb", "c"}));
}

TEST(PruneImages, TheOneInUseAndTheNewestBesideItStayWithTheirSnapshots) {
  test::FakeImageService service;
  const std::function<void(const std::string&)> say = [](const std::string&) {};
  for (const char* day : {"1", "2", "3", "4"}) {
    service.made.push_back(image_of(std::string("ami-") + day, "available", day, std::string("2026-01-0") + day));
    service.stored.push_back(std::string("snap-ami-") + day);
  }
  service.made.push_back(image_of("ami-5", "failed", "5", "2026-01-05"));
  service.stored.emplace_back("snap-of-none");
  ASSERT_TRUE(aws::prune_images(service, "ami-2", 2, say, Deadline::never()));
  std::vector<std::string> left;
  for (const auto& one : service.made) left.push_back(one.id);
  EXPECT_EQ(left, (std::vector<std::string>{"ami-2", "ami-4"}));
  EXPECT_EQ(service.stored, (std::vector<std::string>{"snap-ami-2", "snap-ami-4"}));

  service.made.push_back(image_of("ami-6", "pending", "6"));
  service.stored.emplace_back("snap-of-ami-6");
  ASSERT_TRUE(aws::prune_images(service, "ami-2", 2, say, Deadline::never()));
  EXPECT_EQ(service.stored.size(), 3u) << "the snapshot of what is being made";

  service.made.pop_back();
  ASSERT_TRUE(aws::prune_images(service, "", 0, say, Deadline::never()));
  EXPECT_TRUE(service.made.empty());
  EXPECT_TRUE(service.stored.empty());
}

}  // namespace
}  // namespace imgrec::machine_image_test
