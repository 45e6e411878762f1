// GET /v1/dead-letters, POST /v1/dead-letters/{id}/redrive, DELETE /v1/dead-letters/{id}: for administrators.
#pragma once

#include <functional>

#include "roles/web/api/exchange.hpp"
#include "roles/web/jobs/dead_letters.hpp"

namespace imgrec {

/// Thread-safe. Every call blocks for some calls of the queues and stores.
class DeadLetterHandler {
 public:
  explicit DeadLetterHandler(DeadLetters& letters) : letters_(letters) {}

  void list(Exchange exchange);
  void redrive(Exchange exchange);
  void drop(Exchange exchange);

 private:
  using Act = std::function<Result<std::vector<DeadLetters::Done>>(std::span<const MessageId>)>;
  void act_on_one(Exchange exchange, std::string_view done, const Act& act);

  DeadLetters& letters_;
};

}  // namespace imgrec
