#include "roles/web/api/routes.hpp"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace imgrec::routes_test {
namespace {

struct Case {
  const char *method, *path;
  Endpoint endpoint;
  const char* name;
  const char* allowed;
};

class RoutesTest : public testing::TestWithParam<Case> {};

TEST_P(RoutesTest, Finds) {
  const auto& [method, path, endpoint, name, allowed] = GetParam();
  const Route route = find_route(method, path);
  EXPECT_EQ(static_cast<int>(route.endpoint), static_cast<int>(endpoint)) << method << " " << path;
  EXPECT_EQ(route.name, name);
  EXPECT_EQ(route.allowed, allowed);
  EXPECT_TRUE(route.file != nullptr || endpoint != Endpoint::page);
  EXPECT_EQ(route.compatible, route.endpoint == Endpoint::images || route.name == std::string_view("reset") ||
                                  route.name == std::string_view("compat"));
}

INSTANTIATE_TEST_SUITE_P(
    All, RoutesTest,
    testing::Values(
        Case{"GET", "/", Endpoint::page, "page", "GET, HEAD, POST, OPTIONS"},
        Case{"POST", "/", Endpoint::images, "compat", "GET, HEAD, POST, OPTIONS"},
        Case{"OPTIONS", "/", Endpoint::options, "page", "GET, HEAD, POST, OPTIONS"},
        Case{"DELETE", "/", Endpoint::none, "page", "GET, HEAD, POST, OPTIONS"},
        Case{"POST", "/php_server.php", Endpoint::images, "compat", "POST, OPTIONS"},
        Case{"GET", "/php_server.php", Endpoint::none, "none", ""},
        Case{"POST", "/upload", Endpoint::images, "upload", "POST, OPTIONS"},
        Case{"POST", "/classify", Endpoint::images, "classify", "POST, OPTIONS"},
        Case{"POST", "/v1/classify", Endpoint::v1_classify, "v1_classify", "POST, OPTIONS"},
        Case{"PUT", "/v1/classify", Endpoint::none, "v1_classify", "POST, OPTIONS"},
        Case{"POST", "/v1/other", Endpoint::none, "none", ""},
        Case{"GET", "/v1/jobs/x", Endpoint::v1_job, "v1_job", "GET, HEAD, DELETE, OPTIONS"},
        Case{"POST", "/v1/jobs/x", Endpoint::none, "v1_job", "GET, HEAD, DELETE, OPTIONS"},
        Case{"DELETE", "/v1/jobs/x", Endpoint::v1_job_cancel, "v1_job_cancel", "GET, HEAD, DELETE, OPTIONS"},
        Case{"GET", "/v1/jobs", Endpoint::v1_jobs, "v1_jobs", "GET, HEAD, OPTIONS"},
        Case{"POST", "/v1/dead-letters/x/redrive", Endpoint::v1_dead_letter_redrive, "v1_dead_letter_redrive",
             "POST, OPTIONS"},
        Case{"HEAD", "/healthz", Endpoint::healthz, "healthz", "GET, HEAD, OPTIONS"},
        Case{"GET", "/readyz", Endpoint::readyz, "readyz", "GET, HEAD, OPTIONS"},
        Case{"GET", "/metrics", Endpoint::metrics, "metrics", "GET, HEAD, OPTIONS"},
        Case{"GET", "/results", Endpoint::results, "results", "GET, HEAD, OPTIONS"},
        Case{"GET", "/app.js", Endpoint::page, "page", "GET, HEAD, OPTIONS"},
        Case{"GET", "/style.css", Endpoint::page, "page", "GET, HEAD, OPTIONS"},
        Case{"OPTIONS", "/app.js", Endpoint::options, "page", "GET, HEAD, OPTIONS"},
        Case{"OPTIONS", "/php_server.php", Endpoint::options, "compat", "POST, OPTIONS"},
        Case{"OPTIONS", "/v1/other", Endpoint::none, "none", ""}, Case{"POST", "/v2/other", Endpoint::none, "none", ""},
        Case{"POST", "/v22", Endpoint::images, "compat", "POST, OPTIONS"},
        Case{"GET", "/v1/jobs/", Endpoint::none, "none", ""}, Case{"GET", "/v1/jobs/x/y", Endpoint::none, "none", ""},
        Case{"GET", "/v1/jobs/x/", Endpoint::none, "none", ""}, Case{"GET", "//healthz", Endpoint::none, "none", ""},
        Case{"GET", "/../app.js", Endpoint::none, "none", ""}));

TEST(Routes, ResetIsAPost) {
  EXPECT_EQ(find_route("POST", "/reset").endpoint, Endpoint::reset);
  EXPECT_EQ(find_route("GET", "/reset").endpoint, Endpoint::none);
}

TEST(Routes, OfOneNameAndOnePlaceEach) {
  std::set<std::string_view> names;
  std::set<std::pair<std::string_view, std::string_view>> places;
  for (const Operation& operation : operations()) {
    EXPECT_TRUE(names.insert(operation.name).second) << operation.name;
    EXPECT_TRUE(places.insert({operation.method, operation.path}).second) << operation.method << " " << operation.path;
    EXPECT_TRUE(operation.path.starts_with('/'));
  }
}

TEST(Routes, EveryOperationIsFoundAtItsPath) {
  for (const Operation& operation : operations()) {
    const Route route = find_route(operation.method, operation.path);
    EXPECT_EQ(route.name, operation.name);
    EXPECT_EQ(route.access, operation.access);
    EXPECT_EQ(route.compatible, operation.compatible);
    if (operation.method == "GET") {
      EXPECT_EQ(find_route("HEAD", operation.path).name, operation.name);
    }
  }
}

TEST(Routes, OptionsAsksNothingOfItsCaller) {
  EXPECT_EQ(find_route("OPTIONS", "/v1/classify").access, Access::open);
}

TEST(Routes, PathsHaveParameters) {
  EXPECT_EQ(find_route("GET", "/docs/errors/expired").parameter("code", "/docs/errors/expired"), "expired");
  const Route route = find_route("GET", "/v1/jobs/01A");
  EXPECT_EQ(route.parameter("job", "/v1/jobs/01A"), "01A");
  EXPECT_EQ(route.parameter("other", "/v1/jobs/01A"), "");
  EXPECT_EQ(find_route("GET", "/healthz").parameter("job", "/healthz"), "");
}

}  // namespace
}  // namespace imgrec::routes_test
