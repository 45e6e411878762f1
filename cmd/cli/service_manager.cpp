#include "cmd/cli/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "lib/base/environment.hpp"

namespace imgrec {

void tell_service_manager(std::string_view state) {
  const auto path = environment_variable("NOTIFY_SOCKET");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (!path || path->empty() || path->size() >= sizeof(address.sun_path)) return;
  std::ranges::copy(*path, address.sun_path);
  if (path->front() == '@') address.sun_path[0] = '\0';  // Linux's abstract namespace
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path->size());
  (void)::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
  ::close(socket);
}

}  // namespace imgrec
