#include "roles/web/api/routes.hpp"

#include <gtest/gtest.h>

namespace imgrec {
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
  EXPECT_EQ(route.file != nullptr, route.name == std::string_view("page"));
  EXPECT_EQ(route.compatible, route.endpoint == Endpoint::images || route.name == std::string_view("reset"));
}

INSTANTIATE_TEST_SUITE_P(All, RoutesTest,
                         testing::Values(Case{"GET", "/", Endpoint::page, "page", "GET, HEAD, POST"},
                                         Case{"POST", "/", Endpoint::images, "compat", "POST"},
                                         Case{"DELETE", "/", Endpoint::none, "page", "GET, HEAD, POST"},
                                         Case{"POST", "/php_server.php", Endpoint::images, "compat", "POST"},
                                         Case{"GET", "/php_server.php", Endpoint::none, "none", ""},
                                         Case{"POST", "/upload", Endpoint::images, "upload", "POST"},
                                         Case{"POST", "/classify", Endpoint::images, "classify", "POST"},
                                         Case{"POST", "/v1/classify", Endpoint::v1_classify, "v1_classify", "POST"},
                                         Case{"PUT", "/v1/classify", Endpoint::none, "v1_classify", "POST"},
                                         Case{"POST", "/v1/other", Endpoint::none, "none", ""},
                                         Case{"GET", "/v1/jobs/x", Endpoint::v1_job, "v1_job", "GET, HEAD"},
                                         Case{"POST", "/v1/jobs/x", Endpoint::none, "v1_job", "GET, HEAD"},
                                         Case{"HEAD", "/healthz", Endpoint::healthz, "healthz", "GET, HEAD"},
                                         Case{"GET", "/readyz", Endpoint::readyz, "readyz", "GET, HEAD"},
                                         Case{"GET", "/metrics", Endpoint::metrics, "metrics", "GET, HEAD"},
                                         Case{"GET", "/results", Endpoint::results, "results", "GET, HEAD"},
                                         Case{"GET", "/app.js", Endpoint::page, "page", "GET, HEAD"},
                                         Case{"GET", "/style.css", Endpoint::page, "page", "GET, HEAD"},
                                         Case{"GET", "/../app.js", Endpoint::none, "none", ""}));

TEST(Routes, ResetIsAPost) {
  EXPECT_EQ(find_route("POST", "/reset").endpoint, Endpoint::reset);
  EXPECT_EQ(find_route("GET", "/reset").endpoint, Endpoint::none);
}

}  // namespace
}  // namespace imgrec
