// A server that answers every request at once with the same result document, so that a benchmark measures its clients.
// One thread; it looks at nothing but where a request ends.
//   instant_server      prints its port, and serves until its standard input ends
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/base/file.hpp"

namespace {

using imgrec::Fd;

constexpr std::string_view kDocument =
    R"({"v":1,"job":"01M8CGPRX23WA1402P0Y3VSN6B","labels":[{"index":1,"wnid":"","label":"goldfish","score":0.9}]})";

struct Connection {
  Fd socket;
  std::string received;
};

class Server {
 public:
  Server() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 4096) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::perror("instant_server");
      std::exit(1);
    }
    port_ = ntohs(address.sin_port);
    watch(listener_.get());
    watch(STDIN_FILENO);
  }
  int port() const { return port_; }
  void run();

 private:
  void watch(int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  void accept_one();
  void serve(int fd);

  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)}, listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port_ = 0;
  std::unordered_map<int, Connection> connections_;
  const std::string answer_ =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(kDocument.size()) +
      "\r\n\r\n" + std::string(kDocument);
};

void Server::accept_one() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.ok()) return;
  const int on = 1, fd = socket.get();
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch(fd);
  connections_[fd] = {.socket = std::move(socket), .received = {}};
}

// The bytes of the first whole request; 0 while there is none.
std::size_t request_bytes(std::string_view received) {
  const std::size_t head = received.find("\r\n\r\n");
  if (head == received.npos) return 0;
  std::size_t body = 0;
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  if (const std::size_t at = received.find(kLength); at < head) {
    std::from_chars(received.data() + at + kLength.size(), received.data() + head, body);
  }
  return received.size() >= head + 4 + body ? head + 4 + body : 0;
}

void Server::serve(int fd) {
  std::array<char, 65'536> buffer;
  std::string& received = connections_[fd].received;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got <= 0) {
    connections_.erase(fd);
    return;
  }
  received.append(buffer.data(), static_cast<std::size_t>(got));
  for (std::size_t bytes = request_bytes(received); bytes > 0; bytes = request_bytes(received)) {
    received.erase(0, bytes);
    if (::send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL) < 0) return;
  }
}

void Server::run() {
  std::array<epoll_event, 256> events;
  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == STDIN_FILENO) return;
      if (fd == listener_.get())
        accept_one();
      else
        serve(fd);
    }
  }
}

}  // namespace

int main() {
  Server server;
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  server.run();
}
