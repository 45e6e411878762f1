#include "roles/load/report.hpp"

#include <gmock/gmock.h>

namespace imgrec::load::report_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// A run of three requests, of which one failed, while the service started a machine.
struct Told {
  LoadPlan plan{.target = *parse_target("http://h:8000")};
  std::vector<LoadImage> images = {{"a,\"b\".jpg", "", ""}, {"<script>alert(1)</script>.jpg", "", ""}};
  LoadResult result{.errors = {"", "http_503 <b>"}, .labels = {"", "cat"}, .calls = 3, .duration_s = 3};
  ServiceSeen service;
  Figures figures;

  Told() {
    for (const double at_s : {0.0, 1.0, 2.0}) {
      const bool ok = at_s < 2;
      result.records.push_back({.intended_s = at_s,
                                .sent_s = at_s,
                                .ended_s = at_s + 1,
                                .first_image = at_s > 0 ? 1U : 0U,
                                .images = 1,
                                .ok = static_cast<std::uint16_t>(ok),
                                .status = static_cast<std::uint16_t>(ok ? 200 : 503),
                                .error = static_cast<std::uint16_t>(ok ? 0 : 1),
                                .label = ok ? 1U : 0U});
      service.samples.push_back({.at_s = at_s,
                                 .visible = 3 - at_s,
                                 .in_flight = 0,
                                 .booting = 1,
                                 .ready = at_s,
                                 .busy = 0,
                                 .draining = 0,
                                 .machine_seconds = 10 + at_s,
                                 .dollars = 5 + at_s});
    }
    service.samples.push_back({.at_s = 3});  // nothing was known
    service.decisions.push_back(
        {.at_s = 0.5, .wanted = 1, .launch = 1, .end = 0, .why = "3 messages & <i>no</i> machine"});
    figures = figures_of(plan, result);
  }
  LoadReport report() const {
    return {.plan = plan, .images = images, .result = result, .figures = figures, .service = service};
  }
};

TEST(LoadReport, TellsServiceFiguresSinceTheFirstSample) {
  const Told told;
  EXPECT_EQ(told.service.machines_max(), 3);
  EXPECT_EQ(told.service.machine_seconds(), 2);
  EXPECT_EQ(told.service.dollars(), 2);
  EXPECT_FALSE(ServiceSeen{}.machines_max());
  EXPECT_FALSE(ServiceSeen{}.dollars());
}

TEST(LoadReport, JsonKeepsItsNames) {
  const Told told;
  const std::string json = to_json(told.report());
  for (const char* piece : {R"("url": "http://h:8000/")", R"("ok": 2)", R"("failed": 1)", R"("p99.9": 1)",
                            R"("accuracy": null)", R"("http_503 <b>": 1)", R"("machines_max": 3)", R"("dollars": 2)"}) {
    EXPECT_THAT(json, HasSubstr(piece));
  }
}

TEST(LoadReport, CsvQuotesWhatHasToBe) {
  const Told told;
  const std::string csv = to_csv(told.report());
  EXPECT_THAT(csv, HasSubstr("\n1,0,0.000000,0.000000,1.000000,1.000000,200,1,1,\"a,\"\"b\"\".jpg\",cat,\n"));
  EXPECT_THAT(csv, HasSubstr(",503,1,0,<script>alert(1)</script>.jpg,,http_503 <b>\n"));
}

TEST(LoadReport, ThePageHasEachPlotAlsoAsATableAndAsksNobodyForAnything) {
  const Told told;
  const std::string page = to_html(told.report());
  for (const char* piece : {"queue, images", "machines", "images a second", "waiting time, s", "dollars",
                            "scaling decisions", "3 messages &amp; &lt;i&gt;no&lt;/i&gt; machine", "http_503 &lt;b&gt;",
                            "prefers-color-scheme:dark", "Table: queue, images", "Table: dollars"}) {
    EXPECT_THAT(page, HasSubstr(piece));
  }
  for (const char* piece : {"<script", "<link", "src=", "href=", "url(", "<b>", "<i>", "nan"}) {
    EXPECT_THAT(page, Not(HasSubstr(piece)));
  }
}

TEST(LoadReport, TheTimesBelowTheAxisAreRound) {
  Told told;
  told.result.duration_s = 12.3;
  const std::string page = to_html(told.report());
  for (const char* time : {">0:00:00<", ">0:00:02<", ">0:00:12<"}) EXPECT_THAT(page, HasSubstr(time));
  EXPECT_THAT(page, Not(HasSubstr(">0:00:14<")));
  told.result.duration_s = 4 * 3600;
  EXPECT_THAT(to_html(told.report()), testing::AllOf(HasSubstr(">2:00:00<"), HasSubstr(">4:00:00<")));
}

TEST(LoadReport, WithoutAStatusThereAreThePlotsOfTheClientAlone) {
  Told told;
  told.service = {.problem = "http://h:8000/v1/status answers 404."};
  const std::string page = to_html(told.report());
  EXPECT_THAT(page, HasSubstr("answers 404"));
  EXPECT_THAT(page, HasSubstr("Table: images a second"));
  EXPECT_THAT(page, Not(HasSubstr("Table: machines")));
}

TEST(LoadReport, TimesHaveThreeDigitsThatMatter) {
  EXPECT_EQ(readable_seconds(std::nullopt), "-");
  EXPECT_EQ(readable_seconds(0.00123), "1.23 ms");
  EXPECT_EQ(readable_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(readable_seconds(0.1234), "123 ms");
  EXPECT_EQ(readable_seconds(1.234), "1.23 s");
  EXPECT_EQ(readable_seconds(123.4), "123 s");
}

}  // namespace
}  // namespace imgrec::load::report_test
