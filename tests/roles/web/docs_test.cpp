// The documentation: openapi.json says what the tables of the code say, and is served with its pages.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "lib/base/text.hpp"
#include "roles/web/api/errors.hpp"
#include "roles/web/api/routes.hpp"
#include "roles/web/page/page.hpp"
#include "tests/roles/web/web_node.hpp"

namespace imgrec::docs_test {
namespace {

using Json = nlohmann::json;
using test::Backend;
using test::HttpAsk;
using test::HttpReply;
using test::WebNode;
using Described = std::tuple<std::string, std::string, std::string, std::string>;  // method, path, name, access

Json document() {
  const PageFile* file = find_page_file("/openapi.json");
  return Json::parse(file->bytes);
}

std::string to_upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string name_of(Access access) {
  switch (access) {
    case Access::open: return "open";
    case Access::submit: return "submit";
    case Access::watch: return "watch";
    case Access::read: return "read";
    case Access::admin: return "admin";
  }
  return "?";
}

// Calls visit with each operation's path and object.
template <class Visit>
void each_operation(const Json& openapi, Visit visit) {
  for (const auto& [path, methods] : openapi.at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) visit(path, method, operation);
  }
}

TEST(OpenApi, DescribesTheOperationsOfTheTableAndNoOthers) {
  std::set<Described> described, known;
  each_operation(document(), [&](const std::string& path, const std::string& method, const Json& operation) {
    described.emplace(to_upper(method), path, operation.at("operationId"), operation.at("x-access"));
  });
  for (const Operation& operation : operations()) {
    known.emplace(operation.method, operation.path, operation.name, name_of(operation.access));
  }
  for (const Described& one : known) EXPECT_TRUE(described.contains(one)) << testing::PrintToString(one);
  for (const Described& one : described) EXPECT_TRUE(known.contains(one)) << testing::PrintToString(one);
}

TEST(OpenApi, ListsTheErrorCodesOfTheTable) {
  std::set<std::string> described, known;
  const Json openapi = document();
  for (const Json& code : openapi.at("components").at("schemas").at("ErrorCode").at("anyOf").at(0).at("enum")) {
    described.insert(code);
  }
  for (const ErrorCode& error : error_codes()) known.emplace(error.code);
  EXPECT_EQ(described, known);
}

TEST(OpenApi, DescribesEveryParameterOfAPath) {
  const Json openapi = document();
  each_operation(openapi, [&](const std::string& path, const std::string&, const Json& operation) {
    std::set<std::string> described, known;
    for (const Json& entry : operation.value("parameters", Json::array())) {
      const Json& parameter = entry.contains("$ref")
                                  ? openapi.at(Json::json_pointer(entry.at("$ref").get<std::string>().substr(1)))
                                  : entry;
      if (parameter.at("in") == "path") described.insert(parameter.at("name"));
    }
    for (const std::string_view segment : split(path, '/')) {
      if (segment.starts_with('{')) known.emplace(segment.substr(1, segment.size() - 2));
    }
    EXPECT_EQ(described, known) << path;
  });
}

TEST(OpenApi, SaysHowErrorsOfEveryOperationLook) {
  each_operation(document(), [&](const std::string& path, const std::string&, const Json& operation) {
    EXPECT_TRUE(operation.at("responses").contains("default")) << path;
  });
}

TEST(Docs, TheDocumentIsServedAndKeptByItsEtag) {
  Backend backend;
  const WebNode node(backend);
  const HttpReply reply = node.get("/openapi.json");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("content-type"), "application/json");
  EXPECT_EQ(Json::parse(reply.body).at("openapi"), "3.1.0");
  HttpAsk again{
      .method = "GET", .target = "/openapi.json", .headers = {{"If-None-Match", reply.header("etag")}}, .body = {}};
  EXPECT_EQ(node.ask(again).status, 304);
  EXPECT_EQ(node.ask({.method = "HEAD", .target = "/openapi.json", .headers = {}, .body = {}}).status, 200);
}

TEST(Docs, LargeFilesArePackedForWhoTakesThat) {
  Backend backend;
  const WebNode node(backend);
  const HttpReply plain = node.get("/docs/swagger-ui-bundle.js");
  EXPECT_EQ(plain.status, 200);
  EXPECT_EQ(plain.header("content-encoding"), "");
  EXPECT_EQ(plain.header("vary"), "Accept-Encoding");
  const HttpReply packed = node.ask({.method = "GET",
                                     .target = "/docs/swagger-ui-bundle.js",
                                     .headers = {{"Accept-Encoding", "gzip, br"}},
                                     .body = {}});
  EXPECT_EQ(packed.header("content-encoding"), "gzip");
  EXPECT_LT(3 * packed.body.size(), plain.body.size());
}

TEST(Docs, EveryErrorHasAPageAndEveryProblemNamesIts) {
  Backend backend;
  const WebNode node(backend);
  for (const ErrorCode& error : error_codes()) {
    const HttpReply page = node.get(error_type(error.code, error.status));
    EXPECT_EQ(page.status, 200) << error.code;
    EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
    EXPECT_TRUE(page.body.find("<code>" + std::string(error.code) + "</code>") != std::string::npos) << error.code;
  }
  EXPECT_EQ(node.get("/docs/errors/unheard_of").status, 404);
  EXPECT_EQ(Json::parse(node.get("/nothing").body).at("type"), "/docs/errors/not_found");
  EXPECT_EQ(
      Json::parse(node.ask({.method = "POST", .target = "/v1/classify", .headers = {}, .body = {}}).body).at("type"),
      "/docs/errors/no_image");
}

}  // namespace
}  // namespace imgrec::docs_test
