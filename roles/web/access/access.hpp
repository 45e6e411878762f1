// What an operation asks of its caller.
#pragma once

#include <cstdint>

namespace imgrec {

/// Each includes those before it.
enum class Access : std::uint8_t {
  open,    // anyone: the page, health, the documentation
  submit,  // send images; see, list and cancel one's own jobs
  read,    // see the service: machines, queue, decisions, metrics
  admin,   // everything of everyone
};

}  // namespace imgrec
