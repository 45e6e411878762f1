// The calls of Amazon SQS that the queue adapter makes, on awsJson 1.0.
#pragma once

#include <expected>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "aws/client/session.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec::aws {

/// What SQS says about one element of a batch that it did not carry out.
struct SqsRefusal {
  Error error;
  bool again = false;  // not the sender's fault, or one that passes
};
/// The message's id (of sends); empty otherwise.
using SqsOutcome = std::expected<std::string, SqsRefusal>;
/// One outcome per element, in order; the outer failure: the whole call.
using SqsBatchResult = Result<std::vector<SqsOutcome>>;

struct ReceiptExtension {
  const Receipt* receipt = nullptr;
  Millis visibility{0};  // sent in seconds, rounded up
};

/// Thread-safe. Errors as the call layer's. A queue is named by its URL, which is no address here: calls go to the
/// service's endpoint.
class SqsApi {
 public:
  static Result<SqsApi> open(Session& session);

  Result<std::string> queue_url(const std::string& name, const CallLimits& limits = {});
  struct NewQueue {
    std::string name;
    std::map<std::string, std::string> attributes, tags;
  };
  Result<std::string> create_queue(const NewQueue& queue, const CallLimits& limits = {});
  Result<void> delete_queue(const std::string& url);
  Result<std::map<std::string, std::string>> attributes(const std::string& url, const std::vector<std::string>& names,
                                                        const CallLimits& limits = {});

  SqsBatchResult send(const std::string& url, std::span<const OutgoingMessage* const> messages,
                      const CallLimits& limits);
  SqsBatchResult remove(const std::string& url, std::span<const Receipt* const> receipts, const CallLimits& limits);
  SqsBatchResult extend(const std::string& url, std::span<const ReceiptExtension> receipts, const CallLimits& limits);
  /// Empty when stopped.
  Result<std::vector<Message>> receive(const std::string& url, const ReceiveOptions& options, std::stop_token stop);

 private:
  SqsApi(Session& session, Endpoint endpoint)
      : session_(session), caller_(session.caller("sqs")), endpoint_(std::move(endpoint)) {}

  Session& session_;
  Caller& caller_;
  const Endpoint endpoint_;
};

}  // namespace imgrec::aws
