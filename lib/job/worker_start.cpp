#include "lib/job/worker_start.hpp"

#include <nlohmann/json.hpp>

#include "lib/base/clock.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {

ObjectKey worker_start_key() {
  return ObjectKey("status/worker-start");
}

std::string to_json(const WorkerStartFailure& failure) {
  JsonWriter json;
  json.begin_object().member("v", 1).member("code", failure.code).member("detail", failure.detail);
  json.member("worker", failure.worker).member("version", failure.version).member("at", to_rfc3339(failure.at));
  return json.end_object().finish();
}

Result<WorkerStartFailure> parse_worker_start(std::string_view json) {
  const auto document = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (document.is_object() && document.contains("v") && document["v"] != 1) {
    return other_version("object status/worker-start");
  }
  const auto text = [&](const char* name) {
    const auto found = document.is_object() ? document.find(name) : document.end();
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto at = parse_rfc3339(text("at"));
  if (text("code").empty() || !at) {
    return fail(ErrorKind::invalid, "bad_worker_start", "The object status/worker-start cannot be read.");
  }
  return WorkerStartFailure{
      .code = text("code"), .detail = text("detail"), .worker = text("worker"), .version = text("version"), .at = *at};
}

}  // namespace imgrec
