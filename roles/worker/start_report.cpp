#include "roles/worker/start_report.hpp"

#include "lib/base/log.hpp"
#include "lib/job/worker_start.hpp"

namespace imgrec {
namespace {

constexpr Millis kCallTimeout{10'000};
constexpr Millis kToldLately{600'000};
constexpr std::uint64_t kDocumentBytesMax = 64 * kKiB;

CallLimits limits(const StartReportPorts& ports, const std::stop_token& stop) {
  return {Deadline::in(ports.clock, kCallTimeout), stop};
}

// Returns true when a worker has said the same so lately that it need not be said again at length.
bool is_told(const StartReportPorts& ports, const Error& error, const std::stop_token& stop) {
  const auto document = ports.results.get(worker_start_key(), kDocumentBytesMax, limits(ports, stop));
  if (!document) return false;
  const auto told = parse_worker_start(document->bytes);
  return told && told->code == error.code && told->detail == error.message &&
         ports.clock.wall_now() - told->at < kToldLately;
}

}  // namespace

void report_start_failure(const StartReportPorts& ports, const std::string& worker, const std::string& version,
                          const Error& error, const std::stop_token& stop) {
  if (is_told(ports, error, stop)) {
    log::error(
        "this worker cannot start either, for the reason that an earlier one has logged; /readyz of the web says it",
        {{"worker", worker}, {"code", error.code}});
  } else {
    log::error("this worker cannot start; the worker ends", {{"worker", worker}, {"error", describe(error)}});
  }
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
