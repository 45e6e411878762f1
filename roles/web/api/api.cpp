#include "roles/web/api/api.hpp"

#include <algorithm>
#include <any>
#include <charconv>
#include <chrono>
#include <iterator>
#include <limits>
#include <utility>

#include "lib/base/json_writer.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "roles/web/access/cors.hpp"
#include "roles/web/access/session.hpp"
#include "roles/web/access/site.hpp"
#include "roles/web/api/error_page.hpp"
#include "roles/web/api/inference.hpp"
#include "roles/web/compat/inference_protocol.hpp"
#include "roles/web/compat/rekognition.hpp"
#include "roles/web/page/page.hpp"
#include "roles/web/results/results.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kResultsLimitMax = 1'000;

AnswerForm form_for(const Request& request, const Route& route) {
  const bool text = route.compatible && !wants_json(request);
  AnswerForm form{.style = text ? Style::text : Style::json, .held = route.compatible};
  if (route.endpoint == Endpoint::detect_labels) form.shape = rekognition_shape();
  if (request.path == "/v2" || request.path.starts_with("/v2/")) form.shape = inference_shape();
  return form;
}

// An SDK of AWS posts every operation to "/", and names it in a header.
Route route_of(const Request& request) {
  if (is_rekognition_call(request)) return find_route("POST", "/v1/detect-labels");
  return find_route(request.method, request.path);
}

/// What is known of a request when its head was accepted.
struct Admitted {
  Route route;
  Caller caller;
};

bool changes_something(const Request& request) {
  return request.method != "GET" && request.method != "HEAD";
}

bool takes_images(const Route& route) {
  return route.endpoint == Endpoint::v1_classify || route.endpoint == Endpoint::images ||
         route.endpoint == Endpoint::detect_labels || route.endpoint == Endpoint::v2_infer;
}

/// A list on its way to a client. Everything runs on the I/O thread.
struct ListStream {
  ResultsList list;
  std::string piece;
  ResponseStream stream;

  void write() {
    while (!piece.empty()) {
      if (stream.write(piece) != ResponseStream::Write::taken) return;  // on_room calls again; closed: nobody reads
      piece = list.next_piece();
    }
    stream.end();
  }
};

void send_list(Reply reply, ResultsList list) {
  std::string first = list.next_piece();
  std::string second = list.next_piece();
  Response response = json_response({});
  if (second.empty()) {
    response.body = std::move(first);
    return reply.send(std::move(response));
  }
  const auto sending = std::make_shared<ListStream>(std::move(list), first + second);
  sending->stream = reply.open_stream(std::move(response), {.on_room = [sending] { sending->write(); }});
  sending->write();
}

}  // namespace

Api::Api(const WebSettings& settings, WebPorts& ports, Parts parts)
    : settings_(settings),
      ports_(ports),
      parts_(parts),
      classify_(settings, ports,
                {.router = parts.router,
                 .uploader = parts.uploader,
                 .access = parts.access,
                 .jobs = parts.jobs,
                 .abort = parts.abort}),
      jobs_(settings, ports, parts.router, parts.jobs),
      dead_letters_(parts.jobs.dead_letters),
      unpacker_(settings.web.body_bytes_max, settings.web.buffered_bytes_max),
      live_(parts.live),
      admission_({.queue_wait_max = settings.web.queue_wait_max,
                  .queue_jobs_min = static_cast<std::size_t>(settings.web.queue_jobs_min),
                  .pending_jobs_max = static_cast<std::size_t>(settings.web.pending_jobs_max)}) {}

Reply Api::make_reply(const Request& request, const Route& route, Responder responder) {
  const bool quiet = route.endpoint == Endpoint::healthz || route.endpoint == Endpoint::readyz ||
                     route.endpoint == Endpoint::metrics || route.endpoint == Endpoint::v2_live ||
                     route.endpoint == Endpoint::v2_ready;
  return Reply({.request = request.id,
                .method = request.method,
                .path = request.path,
                .route = std::string(route.name),
                .received_at = request.received_at,
                .quiet = quiet},
               std::move(responder), ports_.clock, ports_.metrics);
}

HeadDecision Api::on_head(const Request& request, const HeadContext& context) {
  const Route route = route_of(request);
  if (auto refusal = refuse(request, route, form_for(request, route))) {
    return answer_early(request, route, *std::move(refusal));
  }
  return admit_caller(request, route, context);
}

HeadDecision Api::admit_caller(const Request& request, const Route& route, const HeadContext& context) {
  auto caller = parts_.access.admit(request, route.access);
  if (!caller) {
    Response response = error_response(form_for(request, route), caller.error(), request.id);
    std::ranges::move(access_headers(response.status, caller.error().code), std::back_inserter(response.headers));
    return answer_early(request, route, std::move(response));
  }
  if (!takes_images(route)) return accept(route, *std::move(caller));
  if (const auto refused = parts_.access.known_refusal(*caller)) {
    return answer_early(
        request, route,
        error_response(form_for(request, route), refusal_of(*refused), request.id, retry_after(*refused)));
  }
  return admit_images(request, route, context, *std::move(caller));
}

HeadDecision Api::accept(const Route& route, Caller caller) {
  return HeadDecision::accept(Admitted{.route = route, .caller = std::move(caller)});
}

HeadDecision Api::answer_early(const Request& request, const Route& route, Response response) {
  count_request(ports_.metrics, route.name, std::to_string(response.status / 100) + "xx");
  std::ranges::move(cors_headers(request, settings_.web), std::back_inserter(response.headers));
  return HeadDecision::answer(std::move(response));
}

std::optional<Response> Api::refuse(const Request& request, const Route& route, const AnswerForm& form) const {
  const auto refusal = [&](ErrorKind kind, std::string code, std::string message) {
    return error_response(form, {kind, std::move(code), std::move(message)}, request.id);
  };
  if (settings_.known_hosts && !is_known_host(request, *settings_.known_hosts)) {
    return refusal(ErrorKind::denied, "unknown_host",
                   "This service does not know itself by the name in the Host header, and listens for this machine "
                   "alone. Call it by localhost or an address, or add the name to the setting web.hosts.");
  }
  if (route.endpoint == Endpoint::options) {
    Response response{
        .status = 204, .content_type = {}, .headers = {{"Allow", std::string(route.allowed)}}, .body = {}};
    if (is_preflight(request) && cors_origin(request, settings_.web)) {
      std::ranges::move(preflight_headers(route.allowed), std::back_inserter(response.headers));
    }
    return response;
  }
  if (route.endpoint == Endpoint::none && !route.allowed.empty()) {
    Response response =
        refusal(ErrorKind::invalid, "method_not_allowed", "This path takes " + std::string(route.allowed) + ".");
    response.headers.emplace_back("Allow", route.allowed);
    return response;
  }
  if (route.endpoint == Endpoint::none) {
    return refusal(ErrorKind::not_found, "not_found", "There is nothing at this path.");
  }
  const bool is_welcome = is_same_site(request, settings_.web) || cors_origin(request, settings_.web);
  if (changes_something(request) && !is_welcome) {
    return refusal(
        ErrorKind::denied, "other_site",
        "A page of another site sent this (Origin differs from Host); only this site's own page and programs "
        "may. Behind a proxy, set web.public_url to the address that browsers use.");
  }
  if (const auto coding = content_coding(request); coding && changes_something(request) && !is_known_coding(*coding)) {
    Response response = refusal(ErrorKind::invalid, "unsupported_content_encoding",
                                "The body has Content-Encoding " + *coding +
                                    "; gzip is undone here. An image needs none: its format compresses it.");
    response.headers.emplace_back("Accept-Encoding", "gzip");
    return response;
  }
  return std::nullopt;
}

// The clients of the compatibility routes take a 503 for the end: they are held, or find no connection.
HeadDecision Api::admit_images(const Request& request, const Route& route, const HeadContext& context, Caller caller) {
  // Requests in the pool have images that are not counted as pending yet.
  const std::size_t pending = parts_.router.pending_jobs() + parts_.pool.waiting();
  if (route.compatible) {
    const bool fits = pending < static_cast<std::size_t>(settings_.web.pending_jobs_max) && !context.on_reserve;
    if (fits) return accept(route, std::move(caller));
    count_request(ports_.metrics, route.name, "dropped");
    return HeadDecision::drop();
  }
  auto refusal = overloaded(pending);
  if (!refusal && context.on_reserve) {
    refusal = {
        .error = {ErrorKind::throttled, "overloaded", "All connections are in use; send the image again later."}};
  }
  if (!refusal) return accept(route, std::move(caller));
  return answer_early(request, route,
                      error_response(form_for(request, route), refusal->error, request.id, refusal->retry_after));
}

std::optional<Api::Refusal> Api::overloaded(std::size_t pending) {
  if (auto error = parts_.readiness.worker_error()) return Refusal{.error = *std::move(error)};
  if (const auto outage = parts_.uploader.outage(); outage && !parts_.uploader.wants_probe()) {
    return Refusal{.error = refusal_of(*outage)};
  }
  std::lock_guard lock(admission_mutex_);
  const Admission::Decision decision = admission_.decide(pending, ports_.clock.mono_now());
  if (decision.accepted) return std::nullopt;
  const Seconds again = std::chrono::ceil<Seconds>(decision.retry_after);
  return Refusal{.error = {ErrorKind::throttled, "overloaded",
                           "More images are waiting than are classified in time; send this one again in " +
                               std::to_string(again.count()) + " s."},
                 .retry_after = again};
}

void Api::handle(Request request, Responder responder) {
  auto [route, caller] = std::any_cast<Admitted>(std::move(request.attachment));
  const AnswerForm form = form_for(request, route);
  Reply reply = make_reply(request, route, std::move(responder));
  reply.add_headers(cors_headers(request, settings_.web));
  dispatch({.request = std::move(request),
            .route = route,
            .form = form,
            .reply = std::move(reply),
            .client = std::make_shared<ClientLink>(),
            .caller = std::move(caller)});
}

void Api::answered(std::size_t pending) {
  std::lock_guard lock(admission_mutex_);
  admission_.answered(pending, ports_.clock.mono_now());
}

void Api::dispatch(Exchange exchange) {
  switch (exchange.route.endpoint) {
    case Endpoint::page: return page(std::move(exchange));
    case Endpoint::docs_error: return describe_error(std::move(exchange));
    case Endpoint::healthz: return exchange.send({.headers = {}, .body = "ok\n"});
    case Endpoint::metrics:
      return exchange.send(
          {.content_type = std::string(kMetricsContentType), .headers = {}, .body = ports_.metrics.scrape()});
    case Endpoint::results: return list_results(std::move(exchange));
    case Endpoint::reset:
      if (const auto owner = exchange.owner()) parts_.results.forget(*owner);
      return exchange.send(json_response("{\"reset\":true}\n"));
    case Endpoint::readyz: return readiness(std::move(exchange));
    case Endpoint::sign_in: return sign_in(std::move(exchange));
    case Endpoint::sign_out: {
      const std::string gone = key_cookie(exchange.request, {}, settings_.web);
      return exchange.send({.status = 204, .content_type = {}, .headers = {{"Set-Cookie", gone}}, .body = {}});
    }
    case Endpoint::v1_job: return post(std::move(exchange), [](Api& api, Exchange e) { api.jobs_.get(std::move(e)); });
    case Endpoint::v1_jobs:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.jobs_.list(std::move(e)); });
    case Endpoint::v1_job_cancel:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.jobs_.cancel(std::move(e)); });
    case Endpoint::v1_dead_letters:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.dead_letters_.list(std::move(e)); });
    case Endpoint::v1_dead_letter_redrive:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.dead_letters_.redrive(std::move(e)); });
    case Endpoint::v1_dead_letter_drop:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.dead_letters_.drop(std::move(e)); });
    case Endpoint::v2_live:
    case Endpoint::v2_ready:
    case Endpoint::v2_server:
    case Endpoint::v2_model:
    case Endpoint::v2_model_ready: return answer_inference_metadata(std::move(exchange), settings_, parts_.readiness);
    case Endpoint::detect_labels:
    case Endpoint::v2_infer:
    case Endpoint::v1_classify:
    case Endpoint::images:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.classify_.handle(std::move(e)); });
    case Endpoint::v1_status:
    case Endpoint::v1_fleet:
    case Endpoint::v1_timeseries:
      return post(std::move(exchange), [](Api& api, Exchange e) { api.live_.handle(std::move(e)); });
    case Endpoint::v1_events: return live_.stream(std::move(exchange));
    case Endpoint::options:
    case Endpoint::none: break;  // refuse() has answered
  }
}

// What its client does not wait for any more is not begun. A held client may have ended only its sending side.
void Api::post(Exchange exchange, void (*handler)(Api&, Exchange)) {
  exchange.reply.on_client_gone([client = exchange.client] { client->leave(); },
                                exchange.form.held ? ClientEof::ignored : ClientEof::gone);
  const auto held = std::make_shared<Exchange>(std::move(exchange));
  const bool posted = parts_.pool.try_post([this, handler, held] {
    if (held->client->has_left()) return held->reply.send_to_nobody();
    if (const auto unpacked = unpacker_.unpack(held->request); !unpacked) return held->send_error(unpacked.error());
    handler(*this, std::move(*held));
  });
  // The pool has more places than there are connections: the server stops, or clients leave faster than tasks end.
  if (!posted) {
    held->send_error({ErrorKind::throttled, "overloaded",
                      "More requests are waiting for the store and the queue than the server keeps; send this one "
                      "again in a moment."});
  }
}

void Api::page(Exchange exchange) {
  const Request& request = exchange.request;
  Response response = page_response(*exchange.route.file, request);
  if (request.path == "/" && !session_of(request)) {
    response.headers.emplace_back("Set-Cookie", session_cookie(request, make_session(ports_.rng), settings_.web));
  }
  exchange.send(std::move(response));
}

void Api::describe_error(Exchange exchange) {
  const ErrorCode* error = find_error_code(exchange.route.parameter("code", exchange.request.path));
  if (error == nullptr) {
    return exchange.send_error({ErrorKind::not_found, "not_found", "No error of this service has this code."});
  }
  exchange.send(error_page(*error));
}

// The page keeps no key: what the browser keeps in this cookie no script can read.
void Api::sign_in(Exchange exchange) {
  const Caller& caller = exchange.caller;
  if (caller.keys_needed && !caller.key) {
    const Error error = parts_.access.admit(exchange.request, Access::submit).error();
    Response response = error_response(exchange.form, error, exchange.request.id);
    std::ranges::move(access_headers(response.status, error.code), std::back_inserter(response.headers));
    return exchange.send(std::move(response));
  }
  JsonWriter json;
  json.begin_object().member("keys_needed", caller.keys_needed);
  if (caller.key) {
    json.member("id", caller.key->id).member("name", caller.key->name).member("roles", to_string(caller.key->roles));
  }
  Response response = json_response(json.end_object().finish() + "\n");
  if (caller.key) {
    const std::string key = presented_key(exchange.request, settings_.web).value_or("");
    response.headers.emplace_back("Set-Cookie", key_cookie(exchange.request, key, settings_.web));
  }
  exchange.send(std::move(response));
}

void Api::readiness(Exchange exchange) {
  parts_.readiness.ask([held = std::move(exchange)](const std::optional<Error>& problem) mutable {
    if (problem) return held.send_error(*problem);
    held.send({.headers = {}, .body = "ready\n"});
  });
}

void Api::list_results(Exchange exchange) {
  const Request& request = exchange.request;
  const auto number = [&](std::string_view name, std::uint64_t max) -> Result<std::uint64_t> {
    const auto text = request.query_value(name);
    std::uint64_t value = 0;
    if (!text) return value;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error == std::errc() && end == text->data() + text->size() && value <= max) return value;
    return fail(ErrorKind::invalid, "bad_" + std::string(name),
                std::string(name) + " is a whole number of at most " + std::to_string(max) + ".");
  };
  const auto limit = number("limit", kResultsLimitMax);
  const auto cursor = number("cursor", std::numeric_limits<std::uint64_t>::max());
  if (!limit) return exchange.send_error(limit.error());
  if (!cursor) return exchange.send_error(cursor.error());
  ResultsList list(parts_.results, exchange.owner(),
                   {.form = wants_json(request) ? ResultsList::Form::documents : ResultsList::Form::by_name,
                    .after = *cursor,
                    .limit = static_cast<std::size_t>(*limit)});
  send_list(std::move(exchange.reply), std::move(list));
}

}  // namespace imgrec
