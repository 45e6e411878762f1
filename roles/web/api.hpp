// What the web tier answers to which request.
//
//   POST /v1/classify          images (form or raw body) → the result document, or {"results":[…]} for several
//                              ?top_k=  ?name=  Prefer: respond-async | wait=SECONDS → 202, Location
//   GET  /v1/jobs/{id}         200 the result document, 202 {"status":"pending"}, 404; Prefer: wait=SECONDS holds
//   POST /upload, /classify    and POST to any path not listed here: the compatibility routes. Held until the label is
//                              there, text/plain in the dialect of the form's field, JSON with Accept: application/json
//   GET  /results, POST /reset the caller's own results (session by X-Session-Id or cookie)
//   GET  /healthz, /readyz, /metrics, / and the page's files
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lib/http/server/server.hpp"
#include "roles/web/answers.hpp"
#include "roles/web/reply.hpp"
#include "roles/web/result_router.hpp"
#include "roles/web/session_results.hpp"
#include "roles/web/task_pool.hpp"
#include "roles/web/upload.hpp"
#include "roles/web/web.hpp"

namespace imgrec {

/// Thread-safe. handle() never blocks: what may is run by the pool.
class Api {
 public:
  struct Parts {
    ResultRouter& router;
    Uploader& uploader;
    TaskPool& pool;
    SessionResults& results;
  };
  Api(const WebSettings& settings, WebPorts& ports, Parts parts) : settings_(settings), ports_(ports), parts_(parts) {}

  void handle(Request request, Responder responder);

  /// From now on /readyz says no.
  void begin_drain() { draining_ = true; }

 private:
  void dispatch(Request request, Reply reply);
  void post(Request request, Reply reply, void (Api::*work)(Request&, Reply));
  void receive_images(Request& request, Reply reply);
  void wait_for_images(Request& request, Reply reply, Intake intake, int top_k);
  void upload_all(const std::shared_ptr<PendingRequest>& pending, const Intake& intake, const JobRequest& common,
                  std::span<const JobId> jobs);
  void job_status(Request& request, Reply reply);
  void await_job(const JobId& job, Millis wait, Reply reply);
  Result<std::optional<JobResult>> stored_result(const JobId& job);
  void list_results(Request& request, Reply reply);
  void readiness(Request& request, Reply reply);
  PendingRequest::Options wait_options(const Request& request, bool held) const;
  void count_answers(WaitEnd how, const std::vector<ImageSlot>& slots);

  const WebSettings& settings_;
  WebPorts& ports_;
  Parts parts_;
  std::atomic<bool> draining_ = false;
};

}  // namespace imgrec
