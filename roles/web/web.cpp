#include "roles/web/web.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "lib/base/log.hpp"
#include "lib/http/server/server.hpp"
#include "lib/http/server/tls.hpp"
#include "roles/web/access/access_control.hpp"
#include "roles/web/api/answers.hpp"
#include "roles/web/api/api.hpp"
#include "roles/web/api/readiness.hpp"
#include "roles/web/jobs/jobs.hpp"
#include "roles/web/live/live.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/results/session_results.hpp"
#include "roles/web/upload/task_pool.hpp"
#include "roles/web/upload/upload.hpp"

namespace imgrec {
namespace {

ServerOptions server_options(const WebConfig& web) {
  return {.bind = web.bind,
          .port = web.port,
          .connections_max = web.connections_max,
          .connections_reserve = web.connections_reserve,
          .header_bytes_max = web.header_bytes_max,
          .body_bytes_max = web.body_bytes_max,
          .buffered_bytes_max = web.buffered_bytes_max,
          .body_bytes_floor = web.body_bytes_floor,
          .stream_bytes_max = web.stream_bytes_max,
          .body_rate_min = web.body_rate_min,
          .memory_wait_max = web.memory_wait_max,
          .header_timeout = web.header_timeout,
          .body_timeout = web.body_timeout,
          .idle_timeout = web.idle_timeout,
          .write_timeout = web.write_timeout,
          .make_error = server_error_response};
}

// The metrics outlive the router: a scrape after the end reads zero.
void register_gauges(Metrics& metrics, const std::shared_ptr<ResultRouter>& router) {
  const auto read = [weak = std::weak_ptr(router)](std::size_t (ResultRouter::*count)() const) {
    const auto alive = weak.lock();
    return alive ? static_cast<double>((*alive.*count)()) : 0.0;
  };
  metrics.gauge("imgrec_web_waiting_clients", "Requests held until their images are answered.",
                [read] { return read(&ResultRouter::waiting_clients); });
  metrics.gauge("imgrec_web_pending_jobs", "Images of this node that are not answered.",
                [read] { return read(&ResultRouter::pending_jobs); });
}

constexpr Millis kRefreshInterval{2'000};  // of keys and certificate
constexpr Millis kKeysTimeout{10'000};
constexpr std::size_t kEndsKept = 10'000;  // about 200 bytes each

void wait_for(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait(lock, stop, [] { return false; });
}

// Null where the settings name no certificate.
Result<std::shared_ptr<TlsCertificate>> load_certificate(const WebConfig& web) {
  if (web.tls_certificate.empty() && web.tls_key.empty()) return nullptr;
  if (web.tls_certificate.empty() || web.tls_key.empty()) {
    return fail(ErrorKind::invalid, "bad_setting",
                "web.tls_certificate and web.tls_key belong together: set both (TLS), or none of them.");
  }
  return TlsCertificate::load(web.tls_certificate, web.tls_key);
}

// Null where the service asks for no keys.
Result<std::unique_ptr<KeyRing>> load_keys(WebPorts& ports, const std::stop_token& stop) {
  if (!ports.keys) return nullptr;
  auto ring = std::make_unique<KeyRing>(std::move(ports.keys), ports.clock);
  if (auto loaded = ring->load({Deadline::in(ports.clock, kKeysTimeout), stop}); !loaded) return fail(loaded.error());
  return ring;
}

// Revoked keys and new certificates count within seconds. A thread of its own: it reads files, or the store.
std::jthread refresh_access(AccessControl& access, std::shared_ptr<TlsCertificate> tls, Clock& clock) {
  return std::jthread([&access, &clock, tls = std::move(tls)](std::stop_token stop) {
    while (clock.sleep_for(kRefreshInterval, stop)) {
      access.refresh({Deadline::in(clock, kKeysTimeout), stop});
      if (!tls) continue;
      if (const auto changed = tls->reload(); !changed) {
        log::error("the certificate stays as it was", {{"error", describe(changed.error())}});
      }
    }
  });
}

}  // namespace

Result<void> run_web(const WebSettings& settings, WebPorts ports, std::stop_token stop) {
  const WebConfig& web = settings.web;
  const auto tls = load_certificate(web);
  if (!tls) return fail(tls.error());
  auto keys = load_keys(ports, stop);
  if (!keys) return fail(keys.error());
  AccessControl access(web, *std::move(keys), ports.outputs, ports.clock);
  SessionResults results({.results_max = static_cast<std::size_t>(web.results_max),
                          .bytes_max = web.results_bytes_max,
                          .session_bytes_max = web.results_session_bytes_max});
  FinalStates ends(kEndsKept);
  JobIndex index({.store = ports.outputs, .clock = ports.clock, .rng = ports.rng, .metrics = ports.metrics});
  std::atomic<Api*> answered_to = nullptr;
  std::atomic<Live*> told_to = nullptr;
  std::stop_source abort;  // a store or queue that hangs must not hold up the end of the drain
  const auto router =
      std::make_shared<ResultRouter>(ResultRouter::Ports{.responses = ports.responses,
                                                         .outputs = ports.outputs,
                                                         .clock = ports.clock,
                                                         .rng = ports.rng,
                                                         .on_result =
                                                             [&results, &ends, &told_to](const JobResult& result) {
                                                               results.record(result);
                                                               ends.record(result);
                                                               if (Live* live = told_to.load()) live->job_ended(result);
                                                             },
                                                         .on_answer =
                                                             [&answered_to](std::size_t pending) {
                                                               if (Api* api = answered_to.load())
                                                                 api->answered(pending);
                                                             }},
                                     ResultRouterOptions{.fifo = settings.fifo_queues, .job_ttl = web.job_ttl});
  register_gauges(ports.metrics, router);
  const auto live = std::make_shared<Live>(Live::Ports{.outputs = ports.outputs,
                                                       .clock = ports.clock,
                                                       .rng = ports.rng,
                                                       .pending_jobs = [&router] { return router->pending_jobs(); },
                                                       .abort = abort.get_token()},
                                           Live::Options{.node = web.node});
  told_to = live.get();
  ports.metrics.gauge("imgrec_web_event_readers", "Open streams of /v1/events.", [weak = std::weak_ptr(live)] {
    const auto alive = weak.lock();
    return alive ? static_cast<double>(alive->events().readers()) : 0.0;
  });
  // Twice the connections, as requests whose clients have left may still wait beside those of their successors; and the
  // uploader's own.
  TaskPool pool(web.threads, static_cast<std::size_t>(2 * (web.connections_max + web.threads)));
  Uploader uploader({.inputs = ports.inputs,
                     .requests = ports.requests,
                     .router = *router,
                     .pool = pool,
                     .clock = ports.clock,
                     .rng = ports.rng,
                     .abort = abort.get_token(),
                     .on_queued = [live](const JobRequest& request) { live->job_queued(request); },
                     .on_cancelled = [live](const JobId& job) { live->job_left(job, "cancelled"); },
                     .on_sent = [&index](const JobRequest& job) { index.add(job.owner, job.job, job.name); }},
                    {.outage_max = web.outage_max, .fifo = settings.fifo_queues});
  Readiness readiness(
      {.requests = ports.requests,
       .responses = ports.responses,
       .inputs = ports.inputs,
       .outputs = ports.outputs,
       .router = *router,
       .uploader = uploader,
       .clock = ports.clock,
       .rng = ports.rng,
       .abort = abort.get_token()},
      {.interval = web.readiness_interval, .write_proof = web.readiness_probe, .fifo = settings.fifo_queues});
  Jobs jobs({.inputs = ports.inputs,
             .outputs = ports.outputs,
             .requests = ports.requests,
             .dead_letters = ports.dead_letters,
             .router = *router,
             .index = index,
             .ends = ends,
             .clock = ports.clock,
             .rng = ports.rng,
             .abort = abort.get_token()},
            {.job_ttl = web.job_ttl},
            {.input_bucket = settings.input_bucket,
             .reply_to = ports.responses_name,
             .job_ttl = web.job_ttl,
             .fifo = settings.fifo_queues});
  Api api(settings, ports,
          {.router = *router,
           .uploader = uploader,
           .pool = pool,
           .results = results,
           .readiness = readiness,
           .live = *live,
           .access = access,
           .jobs = jobs,
           .abort = abort.get_token()});
  answered_to = &api;
  ServerOptions options = server_options(web);
  options.tls = *tls;
  options.on_head = [&api](const Request& request, const HeadContext& context) {
    return api.on_head(request, context);
  };
  Server server(std::move(options),
                [&api](Request request, Responder responder) { api.handle(std::move(request), std::move(responder)); });

  const auto port = server.start();
  if (port) {
    const std::jthread refresher = refresh_access(access, *tls, ports.clock);
    log::info("serving", {{"bind", web.bind}, {"port", *port}, {"tls", *tls != nullptr}});
    ports.on_listening(*port);
    wait_for(stop);

    // Whoever still waits near the end of the drain is told so, rather than cut off without a word.
    const Millis limit = web.drain_timeout;
    log::info("draining", {{"waiting_clients", router->waiting_clients()}, {"limit_ms", limit.count()}});
    readiness.begin_drain();
    router->end_all_at(ports.clock.mono_now() + limit - std::min(limit / 10, Millis(1'000)));
    if (!server.drain(limit)) log::warning("some clients were cut off at the end of the drain");
  }
  index.stop();
  abort.request_stop();
  readiness.stop();
  live->stop();
  pool.stop();
  uploader.stop();
  router->stop();
  if (!port) return fail(port.error());
  log::info("stopped");
  return {};
}

}  // namespace imgrec
