// What an operation asks of its caller.
#pragma once

#include <cstdint>

namespace imgrec {

/// Whoever may do something may do what is open; an admin may do all. Who reads the service's figures (a monitoring
/// program) may not send images for that, nor the other way round.
enum class Access : std::uint8_t {
  open,    // anyone: the page, health, the documentation
  submit,  // send images; see, list and cancel one's own jobs
  watch,   // follow events: of one's own jobs, and of the service with the right to read
  read,    // see the service: machines, queue, decisions, metrics
  admin,   // everything of everyone
};

}  // namespace imgrec
