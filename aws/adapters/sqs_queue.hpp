// Queues on Amazon SQS; semantics as in lib/ports/message_queue.hpp.
//
// Names     a queue whose options say fifo is called NAME.fifo on SQS; callers go on using NAME.
// Failure   the call layer retries what is safe to retry. Elements that SQS refuses through its own fault are tried
//           again once, singly; what stays refused is that element's outcome.
// Receipts  SQS answers success to some stale receipts, and changes nothing.
// Checks    the MD5 of every body is compared, both ways. A message that arrived damaged is left out of what receive()
//           returns, and delivered again after its visibility timeout.
// Depth     QueueDepth::oldest_age is absent: SQS tells it only to CloudWatch.
// Keys      a queue is created encrypted: with the key that its options name, else with SQS's own. Where a key is
// named,
//           a queue that has another is "queue_differs". https://docs.aws.amazon.com/AWSSimpleQueueService/latest/
//           SQSDeveloperGuide/sqs-server-side-encryption.html
// Returns   a message that its holder returns (extend by 0) has its delivery counted all the same.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "aws/client/session.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec::aws {

enum class QueueSetup {
  use,     // taken as it is: nothing but GetQueueUrl is called
  check,   // not_found "no_such_queue", or invalid "queue_differs" saying in what, before any use
  create,  // made when it is not there, with its dead-letter queue; one that differs is "queue_differs"
};

struct SqsQueueOptions {
  bool fifo = false;
  int receives_max = 0;     // maxReceiveCount, up to 1000; 0: no dead-letter queue
  std::string dead_letter;  // name of the dead-letter queue, whose options say whether it is created too
  QueueSetup setup = QueueSetup::check;
  Millis visibility{30'000};         // of a queue that is created: 0 to 12 h
  Seconds retention{4 * 24 * 3600};  // of a queue that is created: one minute to 14 days
  std::string kms_key{};             // id, ARN or alias that encrypts its messages; empty: SQS's own keys, or any
  std::map<std::string, std::string> tags{};  // of a queue that is created
};

struct SqsRules {
  /// The options of the queue with that name; nothing: open() refuses the name ("no_such_queue").
  std::function<std::optional<SqsQueueOptions>(const std::string& name)> options_of;
  Millis settle{1'000};  // "wait at least one second after the queue is created to be able to use the queue"
};

/// Makes no call; open() does (at most a handful, once per name). Beside the port's errors open() has: invalid
/// "queue_differs", denied "access_denied", transient ones. A queue that is gone later makes every call not_found
/// "no_such_queue".
std::unique_ptr<QueueDirectory> open_sqs_queues(Session& session, SqsRules rules);

/// Deletes the queue with all its messages, for tear-down; one that is not there is a success. SQS frees the name after
/// a minute.
Result<void> delete_sqs_queue(Session& session, const std::string& name, const SqsQueueOptions& options);

}  // namespace imgrec::aws
