// What is told of simulations: lines of JSON, and a page.
#include "roles/simulate/report_html.hpp"

#include <gmock/gmock.h>

namespace imgrec::simulate::report_test {
namespace {

using testing::HasSubstr;

ReportPart part() {
  const WorkerKind kind = *find_worker_kind("reference");
  const Scenario scenario =
      *parse_scenario("about = \"<few> & quick\"\nduration = \"10m\"\n[[arrivals]]\nimages = 30", "few.toml", kind);
  ReportPart one{.course = course(scenario, kind), .summaries = {}, .recordings = {}};
  one.summaries = run_course(
      one.course, {contender(*find_policy("depth")), contender(*find_peer("keda"), {5, 30, 300, 300, 600}, "keda")}, 2,
      &one.recordings);
  return one;
}

TEST(Report, TheMembersOfALineOfJsonKeepTheirNames) {
  const ReportPart one = part();
  const std::string json = to_json(one.summaries.at(0));
  EXPECT_THAT(json,
              HasSubstr(R"({"policy":"depth","peer":false,"scenario":"few","workers":"reference","seeds":2,"jobs":60,)"
                        R"("answered":60,"within_wanted_wait":1,"cost_usd":)"));
  for (const char* name :
       {R"("floor_usd":)", R"("wait_s":{"p50":)", R"("p95":)", R"("p99":)", R"("max":)",
        R"("machines":{"max":20,"seconds":)", R"("launches":)", R"("over_max":0)", R"("lost":0)", R"("orphans":0)"}) {
    EXPECT_THAT(json, HasSubstr(name));
  }
  EXPECT_THAT(to_json(one.summaries.at(1)), HasSubstr(R"({"policy":"keda","peer":true)"));
}

TEST(Report, ThePageIsOneFileThatAsksNobodyForAnything) {
  const std::string page = to_html({part()});
  for (const char* piece : {"&lt;few&gt; &amp; quick", "prefers-color-scheme:dark", ">images<", ">machines<",
                            ">wait, s (p95)<", ">dollars<", ">decisions<", " messages: "}) {
    EXPECT_TRUE(page.contains(piece)) << piece;
  }
  for (const char* piece : {"http", "<script", "<link", "url("}) EXPECT_FALSE(page.contains(piece)) << piece;
}

}  // namespace
}  // namespace imgrec::simulate::report_test
