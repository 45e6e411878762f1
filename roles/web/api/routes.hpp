// Which route a path belongs to, and which methods it takes.
#pragma once

#include <string_view>

namespace imgrec {

struct PageFile;

enum class Endpoint { page, healthz, readyz, metrics, v1_classify, v1_job, results, reset, images, none };

struct Route {
  Endpoint endpoint = Endpoint::none;
  std::string_view name;           // for logs and metrics: one of a few
  std::string_view allowed;        // methods, as the Allow header lists them
  bool compatible = false;         // answers in plain text unless JSON is asked for; the client is held
  const PageFile* file = nullptr;  // of Endpoint::page, for GET and HEAD
};

constexpr std::string_view kJobsPath = "/v1/jobs/";

/// The route of a method on a path. Endpoint::none: no such path if `allowed` is empty, else another method.
Route find_route(std::string_view method, std::string_view path);

}  // namespace imgrec
