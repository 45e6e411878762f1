#include "lib/telemetry/metrics_file.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::metrics_file_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MetricsFileTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  // Files carry real time.
  std::vector<std::string> read(Millis later = Millis(0)) {
    return read_metrics_files(folder_, system_clock().wall_now() + later, std::chrono::minutes(10));
  }
  test::TempDir temporary_;
  std::filesystem::path folder_ = temporary_.path();
};

TEST_F(MetricsFileTest, IsWrittenEveryIntervalAndRemovedAtTheEnd) {
  test::FakeClock clock;
  Metrics metrics;
  auto& counter = metrics.counter("a_total", "A.");
  folder_ /= "made";
  std::jthread writer([&](const std::stop_token& stop) {
    run_metrics_file({.folder = folder_, .name = "i-1", .labels = {{"worker", "i-1"}}, .interval = Millis(1'000)},
                     metrics, clock, stop);
  });
  clock.wait_for_sleepers(1);
  EXPECT_THAT(read(), ElementsAre("# HELP a_total A.\n# TYPE a_total counter\na_total{worker=\"i-1\"} 0\n"));
  counter.add(5);
  clock.advance(Millis(1'000));
  clock.wait_for_sleepers(1);
  EXPECT_THAT(read(), ElementsAre(testing::HasSubstr("a_total{worker=\"i-1\"} 5\n")));
  writer.request_stop();
  writer.join();
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(MetricsFileTest, WhatIsNoLongerWrittenDisappears) {
  write("i-1.prom", "a 1\n");
  EXPECT_THAT(read(), ElementsAre("a 1\n"));
  EXPECT_THAT(read(std::chrono::minutes(11)), IsEmpty()) << "its process was killed, or hangs";
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(MetricsFileTest, AFileOfTheFutureIsStaleToo) {
  write("i-1.prom", "a 1\n");
  EXPECT_THAT(read(-std::chrono::hours(1)), IsEmpty()) << "the clock was set back";
}

TEST_F(MetricsFileTest, OnlyWholeFilesInBoundedNumber) {
  for (int i = 0; i < 1'000; ++i) write("i-" + std::to_string(i) + ".prom", "a 1\n");
  write("i-2.prom.new", "half");
  EXPECT_LE(read().size(), kMetricsFilesMax);
  EXPECT_THAT(read(), testing::Each("a 1\n"));
  std::filesystem::remove_all(folder_);
  EXPECT_THAT(read(), IsEmpty()) << "no folder";
}

TEST_F(MetricsFileTest, AFileThatIsTooLargeIsLeftOut) {
  write("i-1.prom", std::string(kMetricsFileBytesMax + 1, 'x'));
  write("i-2.prom", "a 1\n");
  EXPECT_THAT(read(), ElementsAre("a 1\n"));
}

}  // namespace
}  // namespace imgrec::metrics_file_test
