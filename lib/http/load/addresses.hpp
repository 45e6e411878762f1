// From a host's name to an address. Private to lib/http/load.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/base/result.hpp"
#include "lib/http/load/target.hpp"

namespace imgrec::load {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Blocks. Of several addresses, the first at which something listens (localhost is often ::1 before 127.0.0.1).
/// Errors: transient "unknown_host".
Result<Address> find_address(const Target& target);

}  // namespace imgrec::load
