#include "roles/web/api/dead_letters.hpp"

#include "lib/base/json_writer.hpp"
#include "lib/base/log.hpp"
#include "roles/web/api/answers.hpp"
#include "roles/web/api/list_limit.hpp"

namespace imgrec {
namespace {

// What exactly failed is for the log: it may name queues and accounts.
Error told(const Error& error) {
  if (error.kind == ErrorKind::invalid || error.code == "unknown_dead_letter") return error;
  log::warning("cannot work on the dead letters", {{"error", describe(error)}});
  return {ErrorKind::transient, error.code,
          "The service cannot work on its dead letters at the moment. Ask again later; the server's log says what is "
          "wrong."};
}

std::string letters_json(const DeadLetters::Listing& listing) {
  JsonWriter json;
  json.begin_object().begin_list("dead_letters");
  for (const DeadLetter& letter : listing.letters) {
    json.begin_object().member("id", letter.id.str()).member("sent_at", to_rfc3339(letter.sent_at));
    json.member("receive_count", letter.receive_count).member("bytes", letter.bytes);
    if (!letter.job.empty()) {
      json.member("job", letter.job.str()).member("session", letter.session.str()).member("name", letter.name);
      json.member("location", job_location(letter.job));
    }
    json.begin_object("error").member("code", letter.error.code).member("title", letter.error.title);
    json.member("detail", letter.error.detail).end_object().end_object();
  }
  return json.end_list().member("complete", listing.complete).end_object().finish();
}

}  // namespace

void DeadLetterHandler::list(Exchange exchange) {
  const auto limit = list_limit(exchange.request);
  if (!limit) return exchange.send_error(limit.error());
  const auto listing = letters_.list(*limit);
  if (!listing) return exchange.send_error(told(listing.error()));
  exchange.send(json_response(letters_json(*listing) + "\n"));
}

void DeadLetterHandler::redrive(Exchange exchange) {
  act_on_one(std::move(exchange), "sent_again",
             [this](std::span<const MessageId> ids) { return letters_.redrive(ids); });
}

void DeadLetterHandler::drop(Exchange exchange) {
  act_on_one(std::move(exchange), "dropped", [this](std::span<const MessageId> ids) { return letters_.drop(ids); });
}

void DeadLetterHandler::act_on_one(Exchange exchange, std::string_view done, const Act& act) {
  const MessageId id(std::string(exchange.route.parameter("id", exchange.request.path)));
  const auto outcome = act({&id, 1});
  if (!outcome) return exchange.send_error(told(outcome.error()));
  const DeadLetters::Done& one = outcome->at(0);
  if (one.error) return exchange.send_error(told(*one.error));
  JsonWriter json;
  json.begin_object().member("id", id.str()).member("state", done);
  if (!one.job.empty()) json.member("job", one.job.str()).member("location", job_location(one.job));
  exchange.send(json_response(json.end_object().finish() + "\n"));
}

}  // namespace imgrec
