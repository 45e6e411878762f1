// What every MessageQueue refuses, as lib/ports/message_queue.hpp says; the limits are those of Amazon SQS.
#pragma once

#include "lib/ports/message_queue.hpp"

namespace imgrec {

/// 1 to kBatchMax elements; else invalid "bad_batch".
Result<void> check_batch(std::size_t count);

/// The bodies of one call together; else invalid "batch_too_large".
Result<void> check_batch_bytes(std::size_t bytes);

/// invalid "message_too_large", invalid "bad_message".
Result<void> check_message(const OutgoingMessage& message, bool fifo);

/// invalid "bad_receive".
Result<void> check_receive(const ReceiveOptions& options);

/// 0 to 12 hours; else invalid "bad_visibility".
Result<void> check_visibility(Millis visibility);

}  // namespace imgrec
