// botocore's protocol suites. What is not passed is listed in protocols_skipped.txt, and has to fail: so the list stays
// true.
#include "aws/client/protocols.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_api.hpp"
#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "tests/aws/shapes.hpp"
#include "tests/aws/support.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::protocols_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;
using test::NotSpoken;
using test::Shapes;
using testing::HasSubstr;

json load(const std::filesystem::path& path) {
  return json::parse(read_file(path, 16 * kMiB).value());
}

std::map<std::string, std::string> skipped_ids() {
  std::ifstream file(IMGREC_PROTOCOLS_SKIPPED);
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t space = line.find(' ');
    out[line.substr(0, space)] = line.substr(space + 1);
  }
  return out;
}

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// "a=1&b" in any order; "b" and "b=" mean the same.
std::multiset<std::string> pairs(const std::string& text) {
  std::multiset<std::string> out;
  for (const std::string_view one : split(text, '&')) {
    if (!one.empty()) out.insert(std::string(one.ends_with('=') ? one.substr(0, one.size() - 1) : one));
  }
  return out;
}

CallRequest request_of(const std::string& protocol, const json& suite, const json& one) {
  const json& operation = one.at("given");
  const Shapes shapes(suite.at("shapes"));
  const json& metadata = suite.at("metadata");
  const CallName name{"test", operation.at("name")};
  const auto url = parse_endpoint(suite.value("clientEndpoint", "https://example.com")).value();
  Endpoint endpoint{url.scheme, url.authority, url.path, "us-east-1"};
  if (operation.contains("endpoint")) throw NotSpoken("no service of ours has host prefixes");
  if (operation.contains("requestcompression")) throw NotSpoken("requests are not compressed");
  const json parameters = one.value("params", json::object());
  if (protocol == "json_1_0") {
    const json body = operation.contains("input") ? shapes.to_json(operation["input"], parameters) : json::object();
    return json_call(name, endpoint, metadata.at("targetPrefix").get<std::string>(), body.dump());
  }
  if (protocol == "rest-xml") {
    CallRequest out;
    out.name = name;
    out.endpoint = endpoint;
    shapes.to_rest(operation, parameters, out);
    return out;
  }
  QueryPairs form;
  if (operation.contains("input")) shapes.to_form(operation["input"], parameters, "", protocol == "ec2", form);
  return query_call(name, endpoint, metadata.at("apiVersion").get<std::string>(), form);
}

void check_input(const std::string& protocol, const json& suite, const json& one) {
  test::JumpClock clock;
  test::FixedRng rng{0};
  test::ScriptedHttp http;
  http.then(200);
  Caller caller({.service = "test", .retry = {}}, http, nullptr, clock, rng);
  expect(caller.call(request_of(protocol, suite, one), Deadline::in(clock, Seconds(9)), {}).has_value(), "not sent");
  const HttpClientRequest sent = http.requests().at(0);
  const json& wanted = one.at("serialized");
  const std::string endpoint = suite.value("clientEndpoint", "https://example.com");
  const std::string base = endpoint.substr(0, endpoint.find('/', 8));
  const std::string uri = wanted.value("uri", "/");
  expect(sent.method == wanted.value("method", "POST"), "method " + sent.method);
  expect(sent.url.substr(0, sent.url.find('?')) == base + uri.substr(0, uri.find('?')), "url " + sent.url);
  const auto query_in = [](const std::string& text) {
    return pairs(text.find('?') == std::string::npos ? "" : text.substr(text.find('?') + 1));
  };
  expect(query_in(sent.url) == query_in(uri), "query " + sent.url + " instead of " + uri);
  const json headers = wanted.value("headers", json::object());
  for (const auto& [name, value] : headers.items()) {
    expect(test::sent_header(sent, name) == value, "header " + name + ": " + test::sent_header(sent, name));
  }
  const std::string body = wanted.value("body", "");
  if (protocol == "json_1_0") {
    expect(json::parse(sent.body) == json::parse(body), "body " + sent.body);
  } else if (protocol == "rest-xml") {
    expect(sent.body == body, "body " + sent.body);
  } else {
    expect(pairs(sent.body) == pairs(body), "body " + sent.body + " instead of " + body);
  }
}

HttpClientResponse response_of(const json& one) {
  HttpClientResponse out;
  const json& given = one.at("response");
  out.status = given.value("status_code", 200);
  out.body = given.value("body", "");
  const json headers = given.value("headers", json::object());
  for (const auto& [name, value] : headers.items()) {
    out.headers.emplace_back(to_lower(name), value.get<std::string>());
  }
  return out;
}

json result_of(const std::string& protocol, const json& suite, const json& one) {
  const Shapes shapes(suite.at("shapes"));
  const HttpClientResponse response = response_of(one);
  const json& operation = one.at("given");
  if (!operation.contains("output")) return json::object();
  const json& output = operation["output"];
  if (protocol == "rest-xml") return shapes.from_rest(output, response);
  if (response.body.empty()) return json::object();
  if (protocol == "json_1_0") return shapes.from_json(output, json::parse(response.body));
  const XmlElement root = parse_xml(response.body).value();
  if (protocol == "ec2") return shapes.from_xml(output, root);
  const XmlElement* result = root.child(output.value("resultWrapper", operation["name"].get<std::string>() + "Result"));
  return result == nullptr ? json::object() : shapes.from_xml(output, *result);
}

void check_output(const std::string& protocol, const json& suite, const json& one) {
  if (one.contains("errorCode")) {
    const ServiceError error = parse_service_error(response_of(one));
    expect(error.code == one["errorCode"], "error code " + error.code);
    if (one.contains("errorMessage")) expect(error.message == one["errorMessage"], "message " + error.message);
    return;
  }
  const json result = result_of(protocol, suite, one);
  expect(result == one.value("result", json::object()), "result " + result.dump());
}

TEST(Protocols, PassTheSuites) {
  IMGREC_NEED_SHARED(folder, unpacked_testdata("botocore-protocols"));
  auto skipped = skipped_ids();
  int passed = 0;
  for (const std::string direction : {"input", "output"}) {
    for (const std::string file : {"json_1_0", "json_1_0-query-compatible", "query", "ec2", "rest-xml"}) {
      const std::string protocol = file.starts_with("json") ? "json_1_0" : file;
      for (const json& suite : load(folder / direction / (file + ".json"))) {
        for (const json& one : suite.at("cases")) {
          const std::string id = direction + "/" + protocol + "/" + one.at("id").get<std::string>();
          std::string why;
          try {
            direction == "input" ? check_input(protocol, suite, one) : check_output(protocol, suite, one);
          } catch (const std::exception& error) {
            why = error.what();
          }
          const bool listed = skipped.erase(id) > 0;
          passed += why.empty() ? 1 : 0;
          EXPECT_EQ(listed, !why.empty()) << id << " " << (why.empty() ? "passes: take it off the list" : why);
        }
      }
    }
  }
  EXPECT_GE(passed, 250);
  for (const auto& [id, reason] : skipped) ADD_FAILURE() << "no such case: " << id;
}

// --- answers of AWS itself, read by the code that the adapters use
// ------------------------------------------------------

class Responses : public testing::Test {
 protected:
  void SetUp() override {
    IMGREC_NEED_SHARED(path, unpacked_testdata("botocore-response-parsing"));
    folder = path;
    auto scripted = std::make_unique<test::ScriptedHttp>();
    http = scripted.get();
    SessionParts parts;
    parts.http = std::move(scripted);
    parts.credentials = std::make_unique<FixedCredentials>(test::test_keys());
    session = std::make_unique<Session>(std::move(parts), clock, rng);
  }
  std::string body(const std::string& name) { return read_file(folder / name, kMiB).value(); }

  std::filesystem::path folder;
  test::JumpClock clock;
  imgrec::test::SeededRng rng;
  test::ScriptedHttp* http = nullptr;
  std::unique_ptr<Session> session;
};

void expect_instance(const Ec2Instance& read, const json& wanted) {
  EXPECT_EQ(read.id.str(), wanted["InstanceId"]);
  EXPECT_EQ(read.state, wanted["State"]["Name"]);
  EXPECT_EQ(read.launch_index, wanted["AmiLaunchIndex"]);
  EXPECT_THAT(to_rfc3339(read.launched_at), testing::StartsWith(wanted["LaunchTime"].get<std::string>().substr(0, 19)));
  const json tags = wanted.value("Tags", json::array());
  EXPECT_EQ(read.tags.size(), tags.size());
  for (const json& tag : tags) EXPECT_EQ(read.tags.at(tag["Key"]), tag["Value"]);
}

TEST_F(Responses, Ec2Instances) {
  http->then(200, body("responses-ec2-run-instances.xml"));
  const auto ran = Ec2Api(*session, Seconds(9)).run({}, {});
  ASSERT_TRUE(ran);
  const json run = json::parse(body("responses-ec2-run-instances.json"));
  ASSERT_EQ(ran->size(), run["Instances"].size());
  for (std::size_t i = 0; i < ran->size(); ++i) expect_instance((*ran)[i], run["Instances"][i]);

  http->then(200, body("responses-ec2-describe-instances.xml"));
  const auto described = Ec2Api(*session, Seconds(9)).describe({}, {});
  ASSERT_TRUE(described);
  const json all = json::parse(body("responses-ec2-describe-instances.json"));
  std::size_t at = 0;
  for (const json& reservation : all["Reservations"]) {
    for (const json& instance : reservation["Instances"]) expect_instance(described->at(at++), instance);
  }
  EXPECT_EQ(described->size(), at);
}

TEST_F(Responses, S3ObjectsAndErrors) {
  http->then(200, body("responses-s3-list-objects.xml"));
  const auto store = open_s3_store(*session, {.bucket = "photos", .setup = BucketSetup::use}).value();
  const auto page = store->list("", "", 1000);
  ASSERT_TRUE(page) << describe(page.error());
  const json wanted = json::parse(body("responses-s3-list-objects.json"));
  ASSERT_EQ(page->objects.size(), wanted["Contents"].size());
  for (std::size_t i = 0; i < page->objects.size(); ++i) {
    EXPECT_EQ(page->objects[i].key.str(), wanted["Contents"][i]["Key"]);
    EXPECT_EQ(page->objects[i].bytes, wanted["Contents"][i]["Size"]);
    EXPECT_EQ(to_rfc3339(page->objects[i].modified_at), wanted["Contents"][i]["LastModified"]);
  }
  for (const std::string name :
       {"errors-s3-create-bucket", "errors-s3-list-objects", "errors-ec2-describe-instances"}) {
    const ServiceError error = parse_service_error({.status = 400, .headers = {}, .body = body(name + ".xml")});
    const json expected = json::parse(body(name + ".json"));
    EXPECT_EQ(error.code, expected["Error"]["Code"]) << name;
    EXPECT_EQ(error.message, expected["Error"]["Message"]) << name;
  }
}

TEST_F(Responses, SqsMessagesAndQueues) {
  auto api = SqsApi::open(*session).value();
  const json received = json::parse(body("responses-sqs-receive-message.json"));
  http->then(200, received.dump());
  const auto messages = api.receive("url", {}, {});
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 1U);
  EXPECT_EQ(messages->front().body, "This is a test message");
  EXPECT_EQ(messages->front().receive_count, 5);
  EXPECT_EQ(messages->front().receipt.str(), received["Messages"][0]["ReceiptHandle"]);
  http->then(200, body("responses-sqs-get-queue-url.json"));
  EXPECT_EQ(api.queue_url("q"), "http://sqs.us-east-1.amazonaws.com/123456789012/testQueue");
  http->then(200, body("responses-sqs-get-queue-attributes.json"));
  EXPECT_EQ(api.attributes("url", {"All"})->at("QueueArn"), "arn:aws:sqs:us-east-1:123456789012:test1351044153");
}

}  // namespace
}  // namespace imgrec::aws::protocols_test
