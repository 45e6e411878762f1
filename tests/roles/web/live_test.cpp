// What a web node knows of the service, and how it tells it: documents and events.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "roles/web/live/event_hub.hpp"
#include "roles/web/live/live_json.hpp"
#include "roles/web/live/service_view.hpp"
#include "tests/roles/web/web_node.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::live_test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Json = nlohmann::json;

class ServiceViewTest : public testing::Test {
 protected:
  ServiceStatus status() {
    ServiceStatus made{.at = clock_.wall_now(), .controller = "c", .policy = "depth"};
    made.queue = {.visible = 5, .in_flight = 2, .delayed = 0, .oldest_age = Millis(1'500)};
    made.counts = {.booting = 1, .ready = 0, .busy = 1, .draining = 0};
    made.machines = {{.id = "i-1", .app_tier_id = "app-tier-1", .state = MachineState::busy, .launched_at = made.at}};
    made.wanted = 2;
    made.why = "7 messages";
    made.boot_s = 9.5;
    made.cost = {.since = made.at, .machine_seconds = 7'200, .dollars_per_hour = 0.5, .dollars = 1};
    return made;
  }
  void publish(const ServiceStatus& made) { ASSERT_TRUE(store_.put(service_status_key(), to_json(made), {})); }
  Json told() {
    return Json::parse(
        status_json(view_.seen(), {.name = "web-1", .seen = view_.node(), .pending_jobs = 3}, clock_.wall_now()));
  }
  Json fleet() { return Json::parse(fleet_json(view_.seen(), clock_.wall_now())); }

  test::FakeClock clock_;
  test::MemoryStore store_{clock_};
  ServiceView view_{store_, clock_};
};

TEST_F(ServiceViewTest, TellsWhatTheControllerTold) {
  publish(status());
  view_.refresh(Millis(0), {});
  clock_.advance(Millis(1'250));
  const Json seen = told();
  EXPECT_TRUE(seen["current"].get<bool>());
  EXPECT_EQ(seen["age_s"], 1.25);
  EXPECT_EQ(seen["queue"]["visible"], 5);
  EXPECT_EQ(seen["queue"]["oldest_age_s"], 1.5);
  EXPECT_EQ(seen["machines"]["booting"], 1);
  EXPECT_EQ(seen["machines"]["wanted"], 2);
  EXPECT_EQ(seen["cost"]["dollars"], 1.0);
  EXPECT_EQ(seen["boot_s"], 9.5);
  EXPECT_EQ(seen["problem"], nullptr);
  EXPECT_EQ(seen["arrivals_per_s"], nullptr) << "not known";
  EXPECT_EQ(seen["node"]["pending_jobs"], 3);
  EXPECT_EQ(fleet()["total"], 2);
  EXPECT_EQ(fleet()["machines"][0]["state"], "busy");
  EXPECT_EQ(fleet()["machines"][0]["images"], nullptr);
}

TEST_F(ServiceViewTest, TellsHowLongMachinesTookToStartAlsoWithoutAController) {
  EXPECT_EQ(fleet()["boots"], nullptr) << "not known";
  ServiceStatus made = status();
  publish(made);
  view_.refresh(Millis(0), {});
  EXPECT_EQ(fleet()["boots"], Json::array());
  made.boots = {{.image = "ami-1", .times_s = {90, 30.25}}, {.image = "", .times_s = {2}}};
  publish(made);
  view_.refresh(Millis(0), {});
  const Json told = Json::parse(R"([{"image": "ami-1", "machines": 2, "mean_s": 60.125, "slowest_s": 90.0},
                                    {"image": null, "machines": 1, "mean_s": 2.0, "slowest_s": 2.0}])");
  EXPECT_EQ(fleet()["boots"], told);
  clock_.advance(Seconds(3600));
  EXPECT_EQ(fleet()["machines"], nullptr);
  EXPECT_EQ(fleet()["boots"], told);
}

TEST_F(ServiceViewTest, ForeseesWhenTheFirstMachineIsReady) {
  ServiceStatus made = status();
  made.machines.push_back({.id = "i-2", .state = MachineState::booting, .launched_at = made.at - Seconds(2)});
  made.machines.push_back({.id = "i-3", .state = MachineState::booting, .launched_at = made.at});
  publish(made);
  view_.refresh(Millis(0), {});
  EXPECT_EQ(told()["ready_in_s"], 7.5);
  clock_.advance(Seconds(8));
  EXPECT_EQ(told()["ready_in_s"], 0) << "it takes longer than was thought";
  made.machines.resize(1);
  publish(made);
  view_.refresh(Millis(0), {});
  EXPECT_EQ(told()["ready_in_s"], nullptr) << "none boots";
}

TEST_F(ServiceViewTest, WithoutAControllerEverythingIsNullAndSaysWhy) {
  view_.refresh(Millis(0), {});
  const Json seen = told();
  EXPECT_FALSE(seen["current"].get<bool>());
  for (const char* name : {"as_of", "age_s", "queue", "machines", "cost", "boot_s"})
    EXPECT_EQ(seen[name], nullptr) << name;
  EXPECT_THAT(seen["problem"].get<std::string>(), HasSubstr("No controller"));
  EXPECT_EQ(fleet()["machines"], nullptr);
}

TEST_F(ServiceViewTest, WhatIsOldIsNullAndNot0) {
  publish(status());
  view_.refresh(Millis(0), {});
  clock_.advance(Millis(12'000 + 2 * 1'000 + 10'000));
  EXPECT_TRUE(told()["current"].get<bool>());
  clock_.advance(Millis(1));
  const Json seen = told();
  EXPECT_FALSE(seen["current"].get<bool>());
  EXPECT_EQ(seen["queue"], nullptr);
  EXPECT_EQ(seen["machines"], nullptr);
  EXPECT_EQ(seen["cost"]["machine_seconds"], 7'200) << "what was spent stays spent";
  EXPECT_EQ(fleet()["machines"], nullptr);
}

TEST_F(ServiceViewTest, AControllerThatHasEndedIsNotCurrent) {
  ServiceStatus last = status();
  last.ended = true;
  publish(last);
  view_.refresh(Millis(0), {});
  EXPECT_THAT(told()["problem"].get<std::string>(), HasSubstr("has ended"));
  EXPECT_EQ(told()["queue"], nullptr);
}

TEST_F(ServiceViewTest, ReadsNoMoreOftenThanItIsAskedTo) {
  publish(status());
  view_.refresh(Millis(1'000), {});
  view_.refresh(Millis(1'000), {});
  EXPECT_EQ(store_.faults.calls(test::StoreCall::get), 1);
  clock_.advance(Millis(1'000));
  view_.refresh(Millis(1'000), {});
  EXPECT_EQ(store_.faults.calls(test::StoreCall::get), 2);
}

TEST_F(ServiceViewTest, AStoreThatFailsLeavesWhatWasKnown) {
  publish(status());
  view_.refresh(Millis(0), {});
  ASSERT_TRUE(store_.put(service_status_key(), "no status", {}));
  view_.refresh(Millis(0), {});
  EXPECT_EQ(told()["queue"]["visible"], 5);
}

TEST_F(ServiceViewTest, SamplesFillTheSeriesOnceAndWithoutGaps) {
  ServiceStatus made = status();
  const auto sample = [&](int second, double visible) {
    ServiceSample one{.at = made.at + Seconds(second), .values = {}};
    one.values.fill(std::numeric_limits<double>::quiet_NaN());
    one.values[0] = visible;
    return one;
  };
  made.samples = {sample(0, 1), sample(1, 2), sample(2, std::nan(""))};
  publish(made);
  EXPECT_EQ(view_.refresh(Millis(0), {}).size(), 3U);
  made.samples = {sample(1, 2), sample(2, std::nan("")), sample(3, 4)};
  publish(made);
  const auto fresh = view_.refresh(Millis(0), {});
  ASSERT_EQ(fresh.size(), 1U);
  EXPECT_EQ(fresh[0].values[0], 4);
  const auto points = view_.read("visible", Resolution::second, {});
  ASSERT_EQ(points.size(), 3U) << "unknown is no point";
  EXPECT_EQ(points[2].mean, 4);
  const Json series =
      Json::parse(timeseries_json(view_, {.columns = {"visible", "busy"}, .since = made.at + Seconds(1)}));
  EXPECT_EQ(series["series"]["visible"].size(), 2U);
  EXPECT_EQ(series["series"]["visible"][0], (Json{made.at.time_since_epoch() / Seconds(1) + 1, 2.0, 2.0}));
  EXPECT_TRUE(series["series"]["busy"].empty());
  EXPECT_TRUE(ServiceView::has_column("wait_p95_s"));
  EXPECT_FALSE(ServiceView::has_column("nothing"));
}

TEST_F(ServiceViewTest, WaitsOfASecondByNearestRank) {
  for (int i = 1; i <= 100; ++i) view_.answered(Millis(10 * i));
  view_.end_second();
  const Json node = told()["node"];
  EXPECT_EQ(node["answered_per_s"], 100);
  EXPECT_EQ(node["wait_p50_s"], 0.5);
  EXPECT_EQ(node["wait_p95_s"], 0.95);
  clock_.advance(Millis(2'000));
  view_.answered(Millis(-5));
  view_.end_second();
  EXPECT_EQ(told()["node"]["answered_per_s"], 0.5);
  EXPECT_EQ(told()["node"]["wait_p95_s"], 0) << "clocks that differ make no negative waits";
  clock_.advance(Millis(1'000));
  view_.end_second();
  EXPECT_EQ(told()["node"]["wait_p50_s"], nullptr) << "none was answered";
}

/// A stream's other end.
struct Received final : ResponseStream::Sink {
  ResponseStream::Write write(std::string_view piece) override {
    if (closed) return ResponseStream::Write::closed;
    if (full) return ResponseStream::Write::full;
    text += piece;
    return ResponseStream::Write::taken;
  }
  void end(bool complete) override { (complete ? ended : broken) = true; }
  std::string text;
  bool full = false, closed = false, ended = false, broken = false;
};

class EventHubTest : public testing::Test {
 protected:
  struct Connection {
    std::shared_ptr<Received> received = std::make_shared<Received>();
    StreamCallbacks callbacks = {};
  };
  std::unique_ptr<Connection> connect(EventReader reader) {
    auto connection = std::make_unique<Connection>();
    opened_ = hub_.subscribe(
        std::move(reader),
        [&](StreamCallbacks callbacks) {
          connection->callbacks = std::move(callbacks);
          return ResponseStream(connection->received);
        },
        [] { return "\"SNAPSHOT\""; });
    return connection;
  }
  static std::string last_id(const std::string& text) {
    const auto at = text.rfind("id: ");
    return text.substr(at + 4, text.find('\n', at) - at - 4);
  }

  test::FakeClock clock_;
  test::SeededRng rng_;
  EventHub hub_{clock_, rng_, {.events_max = 10, .readers_max = 3}};
  bool opened_ = false;
  const SessionId mine_{"mine"}, other_{"other"};
};

TEST_F(EventHubTest, SnapshotThenChangesThatTheReaderMaySee) {
  const auto reader = connect({.session = mine_, .sees_service = true});
  EXPECT_THAT(reader->received->text, StartsWith("retry: 2000\n\nevent: snapshot\nid: "));
  EXPECT_THAT(reader->received->text, HasSubstr("data: \"SNAPSHOT\"\n\n"));
  const auto stranger = connect({.session = other_});
  hub_.publish(mine_, "job", "{\"a\":1}");
  hub_.publish(std::nullopt, "status", "{\"b\":2}");
  EXPECT_THAT(reader->received->text, HasSubstr("data: {\"a\":1}\n\n"));
  EXPECT_THAT(reader->received->text, HasSubstr("event: status\n"));
  EXPECT_THAT(stranger->received->text, Not(HasSubstr("\"a\"")));
  EXPECT_THAT(stranger->received->text, Not(HasSubstr("\"b\"")));
  const auto nobody = connect({});
  hub_.publish(mine_, "job", "{\"c\":3}");
  EXPECT_THAT(nobody->received->text, Not(HasSubstr("\"c\"")));
}

TEST_F(EventHubTest, AReaderThatComesAgainGetsWhatItMissed) {
  const auto first = connect({.session = mine_});
  hub_.publish(mine_, "job", "1");
  const std::string id = last_id(first->received->text);
  first->callbacks.on_client_gone();
  hub_.publish(mine_, "job", "2");
  hub_.publish(other_, "job", "3");
  hub_.publish(mine_, "job", "4");
  const auto again = connect({.session = mine_, .last_event_id = id});
  EXPECT_THAT(again->received->text, Not(HasSubstr("snapshot")));
  EXPECT_THAT(again->received->text, HasSubstr("data: 2\n\nevent: job\nid: " + last_id(again->received->text)));
  EXPECT_THAT(again->received->text, Not(HasSubstr("data: 3")));
  EXPECT_THAT(again->received->text, Not(HasSubstr("data: 1")));
}

TEST_F(EventHubTest, AnIdThatIsTooOldOrOfAnotherLifeGetsASnapshot) {
  const auto first = connect({.session = mine_});
  const std::string id = last_id(first->received->text);
  first->callbacks.on_client_gone();
  for (int i = 0; i < 11; ++i) hub_.publish(mine_, "job", "x");
  for (const std::string& old : {id, std::string("00000000-4"), std::string("nonsense"), id + "99", id + "x"}) {
    const auto again = connect({.session = mine_, .last_event_id = old});
    EXPECT_THAT(again->received->text, HasSubstr("snapshot")) << old;
    again->callbacks.on_client_gone();
  }
}

TEST_F(EventHubTest, ASlowReaderIsDroppedAndNobodyElse) {
  const auto slow = connect({.session = mine_});
  const auto quick = connect({.session = mine_});
  slow->received->full = true;
  hub_.publish(mine_, "job", "1");
  EXPECT_TRUE(slow->received->broken) << "it must not take what it has for all";
  EXPECT_EQ(hub_.readers(), 1U);
  EXPECT_EQ(hub_.dropped(), 1U);
  hub_.publish(mine_, "job", "2");
  EXPECT_THAT(quick->received->text, HasSubstr("data: 2"));
  quick->received->closed = true;
  hub_.publish(mine_, "job", "3");
  EXPECT_EQ(hub_.readers(), 0U);
  EXPECT_EQ(hub_.dropped(), 1U) << "it left by itself";
}

TEST_F(EventHubTest, ACommentWhenNothingWasSaidFor15Seconds) {
  const auto reader = connect({.session = mine_});
  clock_.advance(Millis(14'999));
  hub_.tick();
  EXPECT_THAT(reader->received->text, Not(HasSubstr(":\n\n")));
  clock_.advance(Millis(1));
  hub_.tick();
  hub_.tick();
  EXPECT_TRUE(reader->received->text.ends_with("\n\n:\n\n"));
}

TEST_F(EventHubTest, EndsInGoodOrder) {
  const auto reader = connect({.session = mine_});
  reader->callbacks.on_drain();
  EXPECT_TRUE(reader->received->ended);
  EXPECT_EQ(hub_.readers(), 0U);
  const auto second = connect({.session = mine_});
  hub_.end_all();
  EXPECT_TRUE(second->received->ended);
  const auto late = connect({.session = mine_});
  EXPECT_TRUE(late->received->ended);
  EXPECT_EQ(hub_.readers(), 0U);
}

TEST_F(EventHubTest, RefusesMoreReadersThanItHasPlacesFor) {
  const auto one = connect({}), two = connect({}), three = connect({});
  EXPECT_TRUE(opened_);
  const auto four = connect({});
  EXPECT_FALSE(opened_);
  two->callbacks.on_client_gone();
  const auto five = connect({});
  EXPECT_TRUE(opened_);
}

test::HttpAsk events_of(const std::string& session) {
  return {.method = "GET", .target = "/v1/events", .headers = {{"X-Session-Id", session}}, .body = {}};
}

TEST(LiveOverHttp, EventsTellTheSessionsJobsAndEndWithTheNode) {
  test::Backend backend;
  test::WebNode node(backend);
  test::FakeWorker worker(backend);
  auto mine = node.ask_later(events_of("mine"));
  auto other = node.ask_later(events_of("other"));
  ASSERT_TRUE(test::eventually([&] { return node.metric("imgrec_web_event_readers") == 2; }));
  test::HttpAsk image = test::form_post("/v1/classify", {{"myfile", "t.jpg", test::jpeg_of("cat")}});
  image.headers.emplace_back("X-Session-Id", "mine");
  EXPECT_EQ(node.ask(image).status, 200);
  EXPECT_TRUE(node.stop());

  const test::HttpReply told = mine.get();
  EXPECT_EQ(told.status, 200);
  EXPECT_EQ(told.header("content-type"), "text/event-stream");
  EXPECT_THAT(told.body, StartsWith("retry: "));
  const auto queued = told.body.find("\"state\":\"queued\""),
             done = told.body.find("\"state\":\"done\",\"label\":\"cat\"");
  EXPECT_NE(queued, std::string::npos) << told.body;
  EXPECT_NE(done, std::string::npos) << told.body;
  EXPECT_LT(queued, done);
  EXPECT_THAT(other.get().body, Not(HasSubstr("\"state\"")));
}

TEST(LiveOverHttp, ACancelledJobIsToldAtOnce) {
  test::Backend backend;
  test::WebNode node(backend);
  auto reader = node.ask_later(events_of("mine"));
  ASSERT_TRUE(test::eventually([&] { return node.metric("imgrec_web_event_readers") == 1; }));
  const test::HttpAsk image{.method = "POST",
                            .target = "/v1/classify",
                            .headers = {{"X-Session-Id", "mine"}, {"Prefer", "respond-async"}},
                            .body = test::jpeg_of("cat")};
  const std::string location = node.ask(image).header("location");
  EXPECT_EQ(
      node.ask({.method = "DELETE", .target = location, .headers = {{"X-Session-Id", "mine"}}, .body = {}}).status,
      200);
  EXPECT_TRUE(node.stop());
  EXPECT_THAT(reader.get().body, HasSubstr("\"state\":\"cancelled\""));
}

TEST(LiveOverHttp, DocumentsAreThoseThatTheControllerPublished) {
  test::Backend backend;
  ServiceStatus status{.at = system_clock().wall_now(), .controller = "c", .policy = "depth"};
  status.queue.emplace().visible = 7;
  status.counts.emplace();
  status.samples = {{.at = std::chrono::floor<Seconds>(status.at), .values = {7}}};
  ASSERT_TRUE(backend.outputs.put(service_status_key(), to_json(status), {}));
  const test::WebNode node(backend);
  EXPECT_EQ(Json::parse(node.get("/v1/status").body)["queue"]["visible"], 7);
  EXPECT_TRUE(Json::parse(node.get("/v1/fleet").body)["machines"].empty());
  const Json series = Json::parse(node.get("/v1/timeseries?name=visible,busy&since=0").body)["series"];
  ASSERT_EQ(series["visible"].size(), 1U);
  EXPECT_EQ(series["visible"][0][1], 7);
  EXPECT_EQ(series.size(), 2U);
  EXPECT_EQ(Json::parse(node.get("/v1/timeseries").body)["series"].size(), ServiceView::columns().size());
  EXPECT_TRUE(Json::parse(node.get("/v1/timeseries?since=2100-01-01T00:00:00Z").body)["series"]["visible"].empty());
  for (const auto& [query, code] :
       {std::pair("name=nothing", "unknown_series"), std::pair("since=yesterday", "bad_since"),
        std::pair("since=-1", "bad_since"), std::pair("resolution=hour", "bad_resolution")}) {
    const test::HttpReply refused = node.get(std::string("/v1/timeseries?") + query);
    EXPECT_EQ(refused.status, 400) << query;
    EXPECT_EQ(Json::parse(refused.body)["code"], code);
  }
}

}  // namespace
}  // namespace imgrec::live_test
