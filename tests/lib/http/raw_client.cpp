#include "tests/lib/http/raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/text.hpp"

namespace imgrec::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool readable_within(int fd, Millis limit) {
  pollfd wanted{fd, POLLIN, 0};
  return ::poll(&wanted, 1, static_cast<int>(limit.count())) > 0;
}

}  // namespace

RawClient::RawClient(int port) : RawClient(port, 0) {}

RawClient::RawClient(int port, int receive_buffer_bytes) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer_bytes > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  }
  const auto address = loopback(port);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wanted{fd_, POLLOUT, 0};
    if (::poll(&wanted, 1, 10'000) <= 0) return false;
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string RawClient::read_some(std::size_t bytes_max, Millis limit) {
  if (!kept_.empty()) return std::exchange(kept_, {});
  if (!readable_within(fd_, limit)) return {};
  std::string bytes(bytes_max, '\0');
  const auto got = ::recv(fd_, bytes.data(), bytes.size(), 0);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

std::string RawClient::read_all() {
  std::string all;
  for (auto piece = read_some(); !piece.empty(); piece = read_some()) all += piece;
  return all;
}

std::string RawClient::read_response(bool to_head) {
  std::string bytes = std::exchange(kept_, {});
  const auto read_more = [&] {
    const auto piece = read_some();
    bytes += piece;
    return !piece.empty();
  };
  while (bytes.find("\r\n\r\n") == std::string::npos) {
    if (!read_more()) return bytes;
  }
  const auto head_end = bytes.find("\r\n\r\n") + 4;
  const auto length_text = header_of(bytes, "content-length");
  const std::size_t length = to_head || length_text.empty() ? 0 : std::stoull(length_text);
  while (bytes.size() < head_end + length) {
    if (!read_more()) return bytes;
  }
  kept_ = bytes.substr(head_end + length);
  bytes.resize(head_end + length);
  return bytes;
}

bool RawClient::closed_within(Millis limit) {
  if (!kept_.empty() || !readable_within(fd_, limit)) return false;
  char byte = 0;
  return ::recv(fd_, &byte, 1, MSG_DONTWAIT) <= 0;
}

void RawClient::shutdown_write() {
  ::shutdown(fd_, SHUT_WR);
}

void RawClient::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(std::exchange(fd_, -1));
}

int status_of(std::string_view response) {
  if (!response.starts_with("HTTP/1.") || response.size() < 12) return 0;
  return std::stoi(std::string(response.substr(9, 3)));
}

std::string header_of(std::string_view response, std::string_view name) {
  const auto head = response.substr(0, response.find("\r\n\r\n"));
  for (const auto line : split(head, '\n')) {
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && to_lower(line.substr(0, colon)) == to_lower(name)) {
      return std::string(trim(line.substr(colon + 1)));
    }
  }
  return {};
}

std::string body_of(std::string_view response) {
  const auto end = response.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string{} : std::string(response.substr(end + 4));
}

bool eventually(const std::function<bool()>& condition) {
  auto& clock = system_clock();
  const auto deadline = Deadline::in(clock, Millis(10'000));
  while (!condition()) {
    if (deadline.left(clock) == Millis(0)) return false;
    clock.sleep_for(Millis(1), {});
  }
  return true;
}

Imposter::Imposter(std::function<void(int fd)> serve) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  auto address = loopback(0);
  socklen_t length = sizeof address;
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), length) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, serve = std::move(serve)] { run(serve); });
}

Imposter::~Imposter() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

void Imposter::run(std::function<void(int fd)> serve) {
  std::vector<std::pair<int, std::thread>> open;
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) break;
    ++connections_;
    open.emplace_back(fd, std::thread([fd, serve] {
                        serve(fd);
                        ::shutdown(fd, SHUT_RDWR);
                      }));
  }
  for (auto& [fd, thread] : open) {
    ::shutdown(fd, SHUT_RDWR);
    thread.join();
    ::close(fd);
  }
}

std::string Imposter::read_head(int fd) {
  std::string head;
  char byte = 0;
  while (head.find("\r\n\r\n") == std::string::npos && ::recv(fd, &byte, 1, 0) == 1) head += byte;
  return head;
}

void Imposter::write(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Imposter::wait_for_close(int fd) {
  char bytes[4096];
  while (::recv(fd, bytes, sizeof bytes, 0) > 0) {
  }
}

}  // namespace imgrec::test
