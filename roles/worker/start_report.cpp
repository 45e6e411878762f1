#include "roles/worker/start_report.hpp"

#include "lib/base/log.hpp"
#include "lib/job/worker_start.hpp"

namespace imgrec {
namespace {

constexpr Millis kCallTimeout{10'000};

CallLimits limits(const StartReportPorts& ports, const std::stop_token& stop) {
  return {Deadline::in(ports.clock, kCallTimeout), stop};
}

}  // namespace

void report_start_failure(const StartReportPorts& ports, const std::string& worker, const std::string& version,
                          const Error& error, const std::stop_token& stop) {
  log::error("this worker cannot start; the worker ends", {{"worker", worker}, {"error", describe(error)}});
  const WorkerStartFailure failure{
      .code = error.code, .detail = error.message, .worker = worker, .version = version, .at = ports.clock.wall_now()};
  const auto told = ports.results.put(worker_start_key(), to_json(failure), {.content_type = "application/json"},
                                      limits(ports, stop));
  if (!told) log::warning("cannot tell the web tier why no worker starts", {{"error", describe(told.error())}});
}

void withdraw_start_failure(const StartReportPorts& ports, const std::stop_token& stop) {
  const ObjectKey key = worker_start_key();
  const auto removed = ports.results.remove({&key, 1}, limits(ports, stop));
  if (!removed && removed.error().kind != ErrorKind::cancelled) {
    log::warning("cannot remove status/worker-start, which may say that no worker starts",
                 {{"error", describe(removed.error())}});
  }
}

}  // namespace imgrec
