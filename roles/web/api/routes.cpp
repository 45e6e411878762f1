#include "roles/web/api/routes.hpp"

#include <array>

#include "lib/base/text.hpp"
#include "roles/web/page/page.hpp"

namespace imgrec {
namespace {

constexpr std::string_view kRead = "GET, HEAD";
constexpr std::string_view kWrite = "POST";

struct Entry {
  std::string_view path;
  Route route;
};

constexpr std::array<Entry, 8> kRoutes{{
    {"/healthz", {Endpoint::healthz, "healthz", kRead}},
    {"/readyz", {Endpoint::readyz, "readyz", kRead}},
    {"/metrics", {Endpoint::metrics, "metrics", kRead}},
    {"/v1/classify", {Endpoint::v1_classify, "v1_classify", kWrite}},
    {"/results", {Endpoint::results, "results", kRead}},
    {"/reset", {Endpoint::reset, "reset", kWrite, true}},
    {"/upload", {Endpoint::images, "upload", kWrite, true}},
    {"/classify", {Endpoint::images, "classify", kWrite, true}},
}};

constexpr Route kCompatible{Endpoint::images, "compat", kWrite, true};

Route route_of_path(std::string_view method, std::string_view path) {
  for (const Entry& entry : kRoutes) {
    if (entry.path == path) return entry.route;
  }
  // The page lives where the reference clients of 2026 post to.
  if (path == "/" && method == "POST") return kCompatible;
  if (const PageFile* file = find_page_file(path)) {
    return {Endpoint::page, "page", path == "/" ? "GET, HEAD, POST" : kRead, false, file};
  }
  if (path.starts_with(kJobsPath)) return {Endpoint::v1_job, "v1_job", kRead};
  if (path == "/v1" || path.starts_with("/v1/") || method != "POST") return {Endpoint::none, "none", ""};
  return kCompatible;
}

bool allows(const Route& route, std::string_view method) {
  for (const std::string_view allowed : split(route.allowed, ',')) {
    if (trim(allowed) == method) return true;
  }
  return false;
}

}  // namespace

Route find_route(std::string_view method, std::string_view path) {
  Route route = route_of_path(method, path);
  if (!allows(route, method)) route.endpoint = Endpoint::none;
  return route;
}

}  // namespace imgrec
