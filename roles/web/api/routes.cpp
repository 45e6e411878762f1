#include "roles/web/api/routes.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "roles/web/page/page.hpp"

namespace imgrec {
namespace {

// The page lives where the reference clients of 2026 post to.
constexpr Operation kPage{"page", "GET", "/", Endpoint::page, Access::open};
constexpr Operation kCompatible{"compat", "POST", "/", Endpoint::images, Access::submit, true};

constexpr auto kOperations = std::to_array<Operation>({
    kPage,
    kCompatible,
    {"openapi", "GET", "/openapi.json", Endpoint::page, Access::open},
    {"docs", "GET", "/docs", Endpoint::page, Access::open},
    {"docs_error", "GET", "/docs/errors/{code}", Endpoint::docs_error, Access::open},
    {"healthz", "GET", "/healthz", Endpoint::healthz, Access::open},
    {"readyz", "GET", "/readyz", Endpoint::readyz, Access::open},
    {"metrics", "GET", "/metrics", Endpoint::metrics, Access::read},
    {"v1_classify", "POST", "/v1/classify", Endpoint::v1_classify, Access::submit},
    {"v1_jobs", "GET", "/v1/jobs", Endpoint::v1_jobs, Access::submit},
    {"v1_job", "GET", "/v1/jobs/{job}", Endpoint::v1_job, Access::submit},
    {"v1_job_cancel", "DELETE", "/v1/jobs/{job}", Endpoint::v1_job_cancel, Access::submit},
    {"v1_dead_letters", "GET", "/v1/dead-letters", Endpoint::v1_dead_letters, Access::admin},
    {"v1_dead_letter_redrive", "POST", "/v1/dead-letters/{id}/redrive", Endpoint::v1_dead_letter_redrive,
     Access::admin},
    {"v1_dead_letter_drop", "DELETE", "/v1/dead-letters/{id}", Endpoint::v1_dead_letter_drop, Access::admin},
    {"v1_status", "GET", "/v1/status", Endpoint::v1_status, Access::read},
    {"v1_fleet", "GET", "/v1/fleet", Endpoint::v1_fleet, Access::read},
    {"v1_timeseries", "GET", "/v1/timeseries", Endpoint::v1_timeseries, Access::read},
    {"v1_events", "GET", "/v1/events", Endpoint::v1_events, Access::watch},
    {"sign_in", "POST", "/v1/sign-in", Endpoint::sign_in, Access::open},
    {"sign_out", "POST", "/v1/sign-out", Endpoint::sign_out, Access::open},
    {"results", "GET", "/results", Endpoint::results, Access::submit},
    {"reset", "POST", "/reset", Endpoint::reset, Access::submit, true},
    {"upload", "POST", "/upload", Endpoint::images, Access::submit, true},
    {"classify", "POST", "/classify", Endpoint::images, Access::submit, true},
    {"v1_detect_labels", "POST", "/v1/detect-labels", Endpoint::detect_labels, Access::submit},
    {"v2_live", "GET", "/v2/health/live", Endpoint::v2_live, Access::open},
    {"v2_ready", "GET", "/v2/health/ready", Endpoint::v2_ready, Access::open},
    {"v2_server", "GET", "/v2", Endpoint::v2_server, Access::open},
    {"v2_model", "GET", "/v2/models/{model}", Endpoint::v2_model, Access::open},
    {"v2_model_version", "GET", "/v2/models/{model}/versions/{version}", Endpoint::v2_model, Access::open},
    {"v2_model_ready", "GET", "/v2/models/{model}/ready", Endpoint::v2_model_ready, Access::open},
    {"v2_model_version_ready", "GET", "/v2/models/{model}/versions/{version}/ready", Endpoint::v2_model_ready,
     Access::open},
    {"v2_infer", "POST", "/v2/models/{model}/infer", Endpoint::v2_infer, Access::submit},
    {"v2_infer_version", "POST", "/v2/models/{model}/versions/{version}/infer", Endpoint::v2_infer, Access::submit},
});

// Nothing under these is taken for a path of a reference client.
constexpr std::array<std::string_view, 3> kOwnFolders{"/v1", "/v2", "/docs"};

// The first segment, which goes from `path`; both begin with "/".
std::string_view next_segment(std::string_view& path) {
  const std::string_view segment = path.substr(1, path.find('/', 1) - 1);
  path.remove_prefix(1 + segment.size());
  return segment;
}

bool is_parameter(std::string_view segment) {
  return segment.starts_with('{');
}

bool fits(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_segment(pattern), given = next_segment(path);
    if (is_parameter(wanted) ? given.empty() : given != wanted) return false;
  }
  return pattern.empty() && path.empty();
}

// The operations on one path.
struct PathEntry {
  std::string_view path;
  std::vector<const Operation*> operations;
  std::string allowed;
};

std::string allowed_of(const PathEntry& entry) {
  std::string allowed;
  for (const Operation* operation : entry.operations) {
    allowed += std::string(operation->method) + (operation->method == "GET" ? ", HEAD, " : ", ");
  }
  return allowed + "OPTIONS";
}

std::vector<PathEntry> make_paths() {
  std::vector<PathEntry> paths;
  for (const Operation& operation : kOperations) {
    auto entry = std::ranges::find(paths, operation.path, &PathEntry::path);
    if (entry == paths.end()) entry = paths.insert(entry, {.path = operation.path, .operations = {}, .allowed = {}});
    entry->operations.push_back(&operation);
  }
  for (PathEntry& entry : paths) entry.allowed = allowed_of(entry);
  std::ranges::stable_sort(paths, {}, [](const PathEntry& entry) { return std::ranges::count(entry.path, '{'); });
  return paths;
}

const PathEntry* find_path(std::string_view path) {
  static const std::vector<PathEntry> paths = make_paths();
  const auto found = std::ranges::find_if(paths, [&](const PathEntry& entry) { return fits(entry.path, path); });
  return found == paths.end() ? nullptr : &*found;
}

Route route_to(const Operation& operation, std::string_view allowed, std::string_view method) {
  Route route{.endpoint = Endpoint::none,
              .name = operation.name,
              .path = operation.path,
              .allowed = allowed,
              .access = operation.access,
              .compatible = operation.compatible};
  if (method == operation.method || (method == "HEAD" && operation.method == "GET")) {
    route.endpoint = operation.endpoint;
  } else if (method == "OPTIONS") {
    route.endpoint = Endpoint::options;
    route.access = Access::open;
  }
  return route;
}

Route route_in(const PathEntry& entry, std::string_view method) {
  for (const Operation* operation : entry.operations) {
    const Route route = route_to(*operation, entry.allowed, method);
    if (route.endpoint != Endpoint::none && route.endpoint != Endpoint::options) return route;
  }
  return route_to(*entry.operations.front(), entry.allowed, method);
}

bool is_in_own_folder(std::string_view path) {
  return std::ranges::any_of(kOwnFolders, [&](std::string_view folder) {
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
  });
}

}  // namespace

std::span<const Operation> operations() {
  return kOperations;
}

std::string_view Route::parameter(std::string_view wanted, std::string_view request_path) const {
  std::string_view pattern = path;
  while (!pattern.empty() && !request_path.empty()) {
    const std::string_view segment = next_segment(pattern), given = next_segment(request_path);
    if (is_parameter(segment) && segment.substr(1, segment.size() - 2) == wanted) return given;
  }
  return {};
}

Route find_route(std::string_view method, std::string_view path) {
  if (const PathEntry* entry = find_path(path)) {
    Route route = route_in(*entry, method);
    if (route.endpoint == Endpoint::page) route.file = find_page_file(path);
    return route;
  }
  if (const PageFile* file = find_page_file(path)) {
    Route route = route_to(kPage, "GET, HEAD, OPTIONS", method);
    route.file = file;
    return route;
  }
  if ((method != "POST" && method != "OPTIONS") || is_in_own_folder(path)) return {};
  return route_to(kCompatible, "POST, OPTIONS", method);
}

}  // namespace imgrec
