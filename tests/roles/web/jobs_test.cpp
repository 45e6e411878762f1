// Jobs as things that a client lists, looks up and cancels, over whole nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "roles/web/access/owner.hpp"
#include "roles/web/jobs/index_page.hpp"
#include "tests/roles/web/web_node.hpp"

namespace imgrec::jobs_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::answer_of;
using test::Backend;
using test::eventually;
using test::form_post;
using test::HttpAsk;
using test::HttpReply;
using test::jpeg_of;
using test::StoreCall;
using test::WebNode;
using testing::ElementsAre;
using testing::StartsWith;

using Headers = std::vector<std::pair<std::string, std::string>>;

// Jobs of one millisecond are in no order: each gets one of its own.
void begin_next_millisecond() {
  const WallTime now = system_clock().wall_now();
  while (system_clock().wall_now() <= now) std::this_thread::yield();
}

HttpAsk submit(const std::string& content, const std::string& session) {
  begin_next_millisecond();
  Headers headers = {{"Prefer", "respond-async"}};
  if (!session.empty()) headers.emplace_back("X-Session-Id", session);
  std::string name = content;
  std::ranges::replace(name, ' ', '+');
  return {
      .method = "POST", .target = "/v1/classify?name=" + name, .headers = std::move(headers), .body = jpeg_of(content)};
}

HttpReply ask(const WebNode& node, const std::string& method, const std::string& target, const std::string& session) {
  Headers headers;
  if (!session.empty()) headers.emplace_back("X-Session-Id", session);
  return node.ask({.method = method, .target = target, .headers = std::move(headers), .body = {}});
}

HttpReply get(const WebNode& node, const std::string& target, const std::string& session) {
  return ask(node, "GET", target, session);
}

std::string code_of(const HttpReply& reply) {
  return json::parse(reply.body).value("code", "");
}

/// The names in the list that a query gives, and "next" where there is one.
std::vector<std::string> names_in(const HttpReply& reply) {
  std::vector<std::string> names;
  EXPECT_EQ(reply.status, 200) << reply.body;
  const json document = json::parse(reply.body);
  for (const auto& job : document.at("jobs")) names.push_back(job.at("name"));
  return names;
}

// ---- Whose a job is

TEST(JobOwners, AnotherSessionSeesNothingOfAJobOnAnyNode) {
  Backend backend;
  WebNode node(backend), other(backend);
  const std::string location = node.ask(submit("cat", "s-1")).header("location");
  for (const WebNode* asked : {&node, &other}) {
    EXPECT_EQ(get(*asked, location, "s-1").status, 202);
    for (const char* session : {"s-2", ""}) {
      EXPECT_EQ(code_of(get(*asked, location, session)), "unknown_job") << session;
      EXPECT_EQ(code_of(ask(*asked, "DELETE", location, session)), "unknown_job") << session;
    }
  }
  const JobRequest request = backend.take(1).at(0);
  EXPECT_EQ(request.owner, make_owner_id(SessionId("s-1")));
  backend.store_and_respond(answer_of(request, backend.image_of(request)));
  for (const WebNode* asked : {&node, &other}) {
    EXPECT_EQ(get(*asked, location, "s-1").status, 200);
    EXPECT_EQ(get(*asked, location, "s-2").status, 404);
    EXPECT_EQ(get(*asked, location, "").status, 404);
  }
}

TEST(JobOwners, WithoutASessionItBelongsToWhoeverKnowsItsId) {
  Backend backend;
  WebNode node(backend), other(backend);
  const std::string location = node.ask(submit("cat", "")).header("location");
  EXPECT_EQ(get(node, location, "").status, 202);
  EXPECT_EQ(get(other, location, "").status, 202);
  EXPECT_EQ(get(other, location, "anyone").status, 202);
  EXPECT_EQ(ask(other, "DELETE", location, "anyone").status, 200);
  backend.take(1);
}

// ---- States

TEST(JobStates, QueuedWithAPlaceThenRunningThenDone) {
  Backend backend;
  WebNode node(backend);
  std::vector<std::string> locations;
  for (const char* name : {"a", "b", "c"}) locations.push_back(node.ask(submit(name, "s")).header("location"));
  const json second = json::parse(get(node, locations[1], "s").body);
  EXPECT_EQ(second["status"], "pending");
  EXPECT_EQ(second["state"], "queued");
  EXPECT_EQ(second["place_about"], 2);
  EXPECT_EQ(second["queue_depth_about"], 3);
  EXPECT_TRUE(second.contains("submitted_at"));

  const JobRequest request = backend.take(3).at(0);
  // The depth is read anew after a while.
  ASSERT_TRUE(eventually([&] { return json::parse(get(node, locations[0], "s").body)["state"] == "running"; }));
  backend.store_and_respond(answer_of(request, backend.image_of(request)));
  const json done = json::parse(get(node, locations[0], "s").body);
  EXPECT_EQ(done["state"], "done");
  EXPECT_EQ(done["labels"][0]["label"], "a");
  EXPECT_TRUE(done["timings_ms"].contains("infer"));
}

TEST(JobStates, FailedAndExpired) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  WebNode node(backend);
  const std::string location = node.ask(submit("error image_corrupt", "s")).header("location");
  const JobRequest request = backend.take(1).at(0);
  backend.store_and_respond(answer_of(request, backend.image_of(request)));
  EXPECT_EQ(json::parse(get(node, location, "s").body)["state"], "failed");
  settings.web.job_ttl = 0ms;
  WebNode late(backend, settings);
  const std::string lost = late.ask(submit("cat", "s")).header("location");
  ASSERT_TRUE(eventually([&] { return get(late, lost, "s").status == 504; }));
  EXPECT_EQ(json::parse(get(late, lost, "s").body)["state"], "expired");
  backend.take(1);
}

// ---- Cancelling

TEST(JobCancel, EndsAJobThatNoWorkerHasAndTellsWhoeverWaits) {
  Backend backend;
  WebNode node(backend);
  auto held = node.ask_later(
      {.method = "POST", .target = "/v1/classify?name=x", .headers = {{"X-Session-Id", "s"}}, .body = jpeg_of("cat")});
  const JobRequest request = backend.take(1).at(0);
  const std::string location = "/v1/jobs/" + request.job.str();
  auto waiting =
      node.ask_later({.target = location, .headers = {{"X-Session-Id", "s"}, {"Prefer", "wait=60"}}, .body = {}});
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_waiting_clients") == 2; }));

  const HttpReply cancelled = ask(node, "DELETE", location, "s");
  EXPECT_EQ(cancelled.status, 200) << cancelled.body;
  EXPECT_EQ(json::parse(cancelled.body)["state"], "cancelled");
  EXPECT_EQ(json::parse(cancelled.body)["name"], "x");
  EXPECT_EQ(held.get().status, 409);
  EXPECT_EQ(json::parse(waiting.get().body)["error"]["code"], "cancelled");
  EXPECT_TRUE(backend.inputs.keys().empty()) << "no worker can fetch it";
  EXPECT_EQ(node.metric("imgrec_web_pending_jobs"), 0);

  EXPECT_EQ(ask(node, "DELETE", location, "s").status, 200) << "again changes nothing";
  EXPECT_EQ(backend.outputs.writes(result_key(request.job)), 1);
  EXPECT_EQ(json::parse(get(node, location, "s").body)["state"], "cancelled");
}

TEST(JobCancel, IsTooLateOnceThereIsAResult) {
  Backend backend;
  WebNode node(backend);
  const std::string location = node.ask(submit("cat", "s")).header("location");
  const JobRequest request = backend.take(1).at(0);
  backend.store(answer_of(request, backend.image_of(request)));
  const HttpReply late = ask(node, "DELETE", location, "s");
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(code_of(late), "too_late");
  EXPECT_EQ(json::parse(late.body)["state"], "done");
  EXPECT_EQ(json::parse(get(node, location, "s").body)["labels"][0]["label"], "cat");
}

TEST(JobCancel, LosesAgainstAResultThatComesInBetween) {
  Backend backend;
  WebNode node(backend);
  const std::string location = node.ask(submit("cat", "s")).header("location");
  const JobRequest request = backend.take(1).at(0);
  // A worker stores its result just before the cancelled one would be stored.
  std::atomic<bool> once = false;
  backend.outputs.faults.on_call([&](StoreCall call) {
    if (call == StoreCall::put && !once.exchange(true)) backend.store(answer_of(request, backend.image_of(request)));
  });
  const HttpReply late = ask(node, "DELETE", location, "s");
  backend.outputs.faults.on_call([](StoreCall) {});
  EXPECT_EQ(late.status, 409) << late.body;
  EXPECT_EQ(json::parse(get(node, location, "s").body)["state"], "done");
}

TEST(JobCancel, AnOutageOfTheStoreIsNoSuccess) {
  Backend backend;
  WebNode node(backend);
  const std::string location = node.ask(submit("cat", "s")).header("location");
  backend.outputs.faults.fail_next(StoreCall::put);
  EXPECT_EQ(ask(node, "DELETE", location, "s").status, 503);
  EXPECT_EQ(json::parse(get(node, location, "s").body)["state"], "queued");
  // The image cannot be removed: the job is cancelled all the same, as its result says.
  backend.inputs.faults.fail_next(StoreCall::remove);
  EXPECT_EQ(ask(node, "DELETE", location, "s").status, 200);
  backend.take(1);
}

// ---- The list

TEST(JobList, LatestFirstWithStatesOverARestartAndOnEveryNode) {
  Backend backend;
  {
    WebNode node(backend);
    for (const char* name : {"a", "b"}) node.ask(submit(name, "s"));
    node.ask(submit("another", "s-2"));
    EXPECT_THAT(names_in(get(node, "/v1/jobs", "s")), ElementsAre("b", "a")) << "also what is not written down yet";
  }
  WebNode node(backend), other(backend);
  for (const char* name : {"c", "error image_corrupt"}) other.ask(submit(name, "s"));
  const auto requests = backend.take(5);
  for (const JobRequest& request : requests) {
    if (request.name != "a") backend.store(answer_of(request, backend.image_of(request)));
  }
  ASSERT_TRUE(eventually([&] { return names_in(get(node, "/v1/jobs", "s")).size() == 4; }));
  for (const WebNode* asked : {&node, &other}) {
    const json jobs = json::parse(get(*asked, "/v1/jobs?session=s", "").body)["jobs"];
    ASSERT_EQ(jobs.size(), 4U);
    EXPECT_EQ(jobs[0]["state"], "failed");
    EXPECT_EQ(jobs[0]["error"]["code"], "image_corrupt");
    EXPECT_EQ(jobs[1]["state"], "done");
    EXPECT_EQ(jobs[1]["label"], "c");
    EXPECT_EQ(jobs[2]["label"], "b");
    EXPECT_EQ(jobs[3]["name"], "a");
    EXPECT_EQ(jobs[3]["state"], "running") << "the queue is empty, so a worker has it";
    EXPECT_EQ(get(*asked, jobs[3]["location"], "s").status, 202);
  }
  EXPECT_THAT(names_in(get(node, "/v1/jobs?state=done", "s")), ElementsAre("c", "b"));
  EXPECT_THAT(names_in(get(node, "/v1/jobs", "s-2")), ElementsAre("another"));
  EXPECT_THAT(names_in(get(node, "/v1/jobs", "s-3")), ElementsAre());
}

TEST(JobList, NewJobsDoNotShiftItsPages) {
  Backend backend;
  WebNode node(backend);
  const auto number = [](int i) { return std::to_string(i); };
  std::vector<test::FormFile> files;
  for (int i = 0; i < 7; ++i) files.push_back({"f", number(i), jpeg_of(number(i))});
  HttpAsk seven = form_post("/v1/classify", files);
  seven.headers.insert(seven.headers.end(), {{"X-Session-Id", "s"}, {"Prefer", "respond-async"}});
  ASSERT_EQ(node.ask(seven).status, 202);

  std::vector<std::string> seen;
  std::string query = "/v1/jobs?limit=3";
  for (int page = 0; page < 3; ++page) {
    const HttpReply reply = get(node, query, "s");
    for (const std::string& name : names_in(reply)) seen.push_back(name);
    ASSERT_EQ(json::parse(reply.body).contains("next"), page < 2) << reply.body;
    if (page < 2) query = "/v1/jobs?limit=3&cursor=" + json::parse(reply.body)["next"].get<std::string>();
    node.ask(submit("new", "s"));
    // From the store as well as from memory.
    if (page == 0) {
      ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_index_writes_total") >= 1; }));
    }
  }
  ASSERT_EQ(seen.size(), 7U);
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6"}));
  EXPECT_LE(node.metric("imgrec_web_index_writes_total"), 4) << "one write for images that come together";
}

TEST(JobList, AnImageWhoseClientLeftIsCancelled) {
  Backend backend;
  WebNode node(backend);
  node.ask(submit("cat", "s"));
  const JobRequest request = backend.take(1).at(0);
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_index_writes_total") == 1; }));
  ASSERT_TRUE(backend.inputs.remove({&request.input.key, 1}));
  WebNode other(backend);
  EXPECT_EQ(json::parse(get(other, "/v1/jobs", "s").body)["jobs"][0]["state"], "cancelled");
}

TEST(JobList, RefusesBadQueries) {
  Backend backend;
  WebNode node(backend);
  EXPECT_EQ(code_of(get(node, "/v1/jobs", "")), "no_session");
  EXPECT_EQ(code_of(get(node, "/v1/jobs?session=..", "")), "bad_session");
  EXPECT_EQ(code_of(get(node, "/v1/jobs?state=odd", "s")), "bad_state");
  for (const char* limit : {"0", "101", "x", "-1", ""}) {
    EXPECT_EQ(code_of(get(node, std::string("/v1/jobs?limit=") + limit, "s")), "bad_limit") << limit;
  }
  EXPECT_EQ(code_of(get(node, "/v1/jobs?cursor=x", "s")), "bad_cursor");
  backend.outputs.faults.fail_next(StoreCall::list);
  EXPECT_EQ(get(node, "/v1/jobs", "s").status, 503);
}

TEST(JobList, APageThatCannotBeReadIsLeftOut) {
  Backend backend;
  const OwnerId owner = make_owner_id(SessionId("s"));
  ASSERT_TRUE(backend.outputs.put(index_key(owner, system_clock().wall_now(), "ab"), "no json", {}));
  WebNode node(backend);
  node.ask(submit("cat", "s"));
  EXPECT_THAT(names_in(get(node, "/v1/jobs", "s")), ElementsAre("cat"));
  backend.take(1);
}

// Nobody is kept waiting by the index, and who names no session costs nothing.
TEST(JobList, TheIndexMayFailAndIsWrittenLater) {
  Backend backend;
  WebNode node(backend);
  backend.outputs.faults.fail_next(StoreCall::put, 2);
  EXPECT_EQ(node.ask(submit("cat", "s")).status, 202);
  EXPECT_EQ(node.ask(submit("dog", "")).status, 202);
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_index_writes_total") == 1; }));
  EXPECT_EQ(node.metric("imgrec_web_index_lost_total"), 0);
  EXPECT_TRUE(node.stop());
  const auto keys = backend.outputs.keys();
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_THAT(keys[0].str(), StartsWith(index_prefix(make_owner_id(SessionId("s")))));
  backend.take(2);
}

}  // namespace
}  // namespace imgrec::jobs_test
