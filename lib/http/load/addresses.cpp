#include "lib/http/load/addresses.hpp"

#include <netdb.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "lib/base/file.hpp"

namespace imgrec::load {
namespace {

constexpr int kProbeMs = 2'000;

bool listens(const Address& address) {
  const Fd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.ok()) return false;
  if (::connect(socket.get(), address.get(), address.length) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd waits{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  int problem = 0;
  socklen_t size = sizeof problem;
  return ::poll(&waits, 1, kProbeMs) == 1 && ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size) == 0 &&
         problem == 0;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

}  // namespace

Result<Address> find_address(const Target& target) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int problem = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
  if (problem != 0 || found == nullptr) {
    return fail(ErrorKind::transient, "unknown_host",
                "No address is known for " + target.host + " (" + ::gai_strerror(problem) +
                    "). Check the name, and this machine's DNS.");
  }
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);
  Address first;
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    Address address;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.length = one->ai_addrlen;
    if (first.length == 0) first = address;
    if (list->ai_next == nullptr || listens(address)) return address;
  }
  return first;
}

}  // namespace imgrec::load
