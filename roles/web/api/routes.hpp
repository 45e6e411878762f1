// The operations of the web tier: one table, which the router, Allow, OPTIONS and the access rules are read from.
// openapi.json describes the same operations; a test holds the two equal.
#pragma once

#include <span>
#include <string_view>

#include "roles/web/access/access.hpp"

namespace imgrec {

struct PageFile;

/// Which handler answers (Api::dispatch).
enum class Endpoint {
  page,
  healthz,
  readyz,
  metrics,
  v1_classify,
  v1_jobs,
  v1_job,
  v1_job_cancel,
  v1_dead_letters,
  v1_dead_letter_redrive,
  v1_dead_letter_drop,
  results,
  reset,
  images,
  docs_error,
  v1_status,
  v1_fleet,
  v1_timeseries,
  v1_events,
  sign_in,
  sign_out,
  detect_labels,
  v2_live,
  v2_ready,
  v2_server,
  v2_model,
  v2_model_ready,
  v2_infer,
  options,
  none,
};

struct Operation {
  std::string_view name;    // for logs and metrics; operationId in openapi.json
  std::string_view method;  // GET answers HEAD, too
  std::string_view path;    // "/v1/jobs/{job}": a {name} stands for one segment that is not empty
  Endpoint endpoint;
  Access access;            // what the caller needs at least
  bool compatible = false;  // answers in plain text unless JSON is asked for; the client is held
};

/// Where one method has several paths that fit, the one with fewer {names} counts.
std::span<const Operation> operations();

struct Route {
  Endpoint endpoint = Endpoint::none;
  std::string_view name = "none";  // Operation::name, of another method when this one is not allowed
  std::string_view path = {};      // Operation::path
  std::string_view allowed = {};   // methods, as the Allow header lists them
  Access access = Access::open;
  bool compatible = false;
  const PageFile* file = nullptr;  // of Endpoint::page

  /// What stands for {name} in the path of a request of this route; empty when the route has no such name.
  std::string_view parameter(std::string_view name, std::string_view request_path) const;
};

/// The route of a method on a path. Endpoint::none: no such path if `allowed` is empty, else another method;
/// Endpoint::options: OPTIONS, which `allowed` answers. POST to a path that the table does not have is "compat",
/// but under /v1, /v2 and /docs.
Route find_route(std::string_view method, std::string_view path);

}  // namespace imgrec
