#include "lib/base/ids.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/fake_clock.hpp"

namespace imgrec::ids_test {
namespace {

TEST(JobId, HasTheTimeOfTheUlidSpecification) {
  // The time part of the specification's example.
  test::SeededRng rng;
  const JobId id = make_job_id(WallTime(Millis(1'469'918'176'385)), rng);
  EXPECT_EQ(id.str().size(), 26U);
  EXPECT_EQ(id.str().substr(0, 10), "01ARYZ6S41");
  EXPECT_EQ(parse_job_id(id.str()), id);
  EXPECT_EQ(time_of(id), WallTime(Millis(1'469'918'176'385)));
}

TEST(JobId, SortsByTimeAndNeverRepeats) {
  std::set<JobId> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(make_job_id(WallTime(Millis(1)), system_rng()));
  EXPECT_EQ(seen.size(), 1'000U);
  test::SeededRng rng;
  EXPECT_LT(make_job_id(WallTime(Millis(1)), rng), make_job_id(WallTime(Millis(2)), rng));
}

TEST(JobId, RefusesOtherForms) {
  for (const char* text : {"", "01ARYZ6S41", "01aryz6s41tsv4rrffq69g5fav", "01ARYZ6S41TSV4RRFFQ69G5FAI",
                           "../../../../../../etc/pass", "81ARYZ6S41TSV4RRFFQ69G5FAV"}) {
    EXPECT_EQ(parse_job_id(text).error().code, "bad_job_id") << text;
  }
}

TEST(RandomHex, HasTwoDigitsPerByte) {
  test::SeededRng rng;
  EXPECT_EQ(random_hex(rng, 12).size(), 24U);
  EXPECT_NE(random_hex(rng, 12), random_hex(rng, 12));
}

}  // namespace
}  // namespace imgrec::ids_test
