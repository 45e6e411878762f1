// What the web tier answers to which request.
//
//   POST /v1/classify          images (form or raw body) → the result document, or {"results":[…]} for several
//                              ?top_k=  ?name=  Prefer: respond-async | wait=SECONDS → 202, Location
//                              503 and Retry-After when the image would wait for too long (admission.hpp)
//   GET  /v1/jobs/{id}         200 the result document, 202 {"status":"pending"}, 404; Prefer: wait=SECONDS holds
//   POST /upload, /classify    and POST to any path not listed here: the compatibility routes. Held until the label is
//                              there, text/plain in the dialect of the form's field, JSON with Accept: application/json
//   GET  /results, POST /reset the caller's own results (session by X-Session-Id or cookie); ?limit= ?cursor=
//   GET  /v1/status, /v1/fleet, /v1/timeseries, /v1/events   the service told live (roles/web/live)
//   GET  /healthz, /readyz, /metrics, / and the page's files
#pragma once

#include <mutex>
#include <optional>

#include "lib/http/server/server.hpp"
#include "roles/web/access/access_control.hpp"
#include "roles/web/api/classify.hpp"
#include "roles/web/api/context.hpp"
#include "roles/web/api/dead_letters.hpp"
#include "roles/web/api/exchange.hpp"
#include "roles/web/api/jobs.hpp"
#include "roles/web/api/live_handler.hpp"
#include "roles/web/api/readiness.hpp"
#include "roles/web/api/unpack.hpp"
#include "roles/web/results/session_results.hpp"
#include "roles/web/upload/admission.hpp"
#include "roles/web/upload/task_pool.hpp"

namespace imgrec {

/// Thread-safe, and nothing blocks: what may goes to the pool.
class Api {
 public:
  struct Parts {
    ResultRouter& router;
    Uploader& uploader;
    TaskPool& pool;
    SessionResults& results;
    Readiness& readiness;
    Live& live;
    AccessControl& access;
    Jobs& jobs;
    std::stop_token abort{};  // requested: calls under way end
  };
  Api(const WebSettings& settings, WebPorts& ports, Parts parts);

  /// What the head alone tells: whether the request is refused, before its body costs anything. The route, found once
  /// here, is attached to a request that is accepted.
  HeadDecision on_head(const Request& request, const HeadContext& context);
  /// A request that on_head() accepted.
  void handle(Request request, Responder responder);

  /// A job of this node was answered; so many are pending.
  void answered(std::size_t pending);

 private:
  std::optional<Response> refuse(const Request& request, const Route& route, const AnswerForm& form) const;
  HeadDecision admit_caller(const Request& request, const Route& route, const HeadContext& context);
  HeadDecision accept(const Route& route, Caller caller);
  struct Refusal {
    Error error;
    Seconds retry_after{5};
  };
  std::optional<Refusal> overloaded(std::size_t pending);
  HeadDecision admit_images(const Request& request, const Route& route, const HeadContext& context, Caller caller);
  HeadDecision answer_early(const Request& request, const Route& route, Response response);
  Reply make_reply(const Request& request, const Route& route, Responder responder);
  void dispatch(Exchange exchange);
  void post(Exchange exchange, void (*handler)(Api&, Exchange));
  void page(Exchange exchange);
  void describe_error(Exchange exchange);
  void readiness(Exchange exchange);
  void sign_in(Exchange exchange);
  void list_results(Exchange exchange);

  const WebSettings& settings_;
  WebPorts& ports_;
  Parts parts_;
  ClassifyHandler classify_;
  JobHandler jobs_;
  DeadLetterHandler dead_letters_;
  BodyUnpacker unpacker_;
  LiveHandler live_;
  std::mutex admission_mutex_;
  Admission admission_;
};

}  // namespace imgrec
