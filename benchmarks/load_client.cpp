// Sends images to a running service over many kept connections and checks every answer; costs little beside the server.
//   load_client ADDRESS PORT CONNECTIONS IMAGES FILE…
// POST /v1/classify?name=N with the bytes of FILE N modulo their number, N = 0 … IMAGES - 1. An answer is good when it
// is a 200 whose document has the name N; anything else ends the program with 1. Prints one line of JSON.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/file.hpp"

namespace {

using namespace imgrec;

constexpr std::size_t kAnswerBytesMax = 64 * kKiB;
constexpr int kSilenceMaxMs = 900'000;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "load_client: %s\n", why.c_str());
  std::_Exit(1);
}

struct Connection {
  Fd socket;
  long name = -1;        // of the request under way; -1: none
  std::string head;      // of that request
  std::size_t sent = 0;  // of head and body together
  std::string answer;    // received so far
  MonoTime begun{};
  bool waits_to_send = false;
};

class Load {
 public:
  Load(std::vector<std::string> files, long images) : files_(std::move(files)), images_(images) {}
  void connect(const char* address, int port, int connections);
  void run();
  void report(double seconds) const;

 private:
  void begin(Connection& connection);
  void send_more(Connection& connection);
  void receive_more(Connection& connection);
  bool take_answer(Connection& connection);
  void watch(Connection& connection, bool sending);

  const std::vector<std::string> files_;
  const long images_;
  long begun_ = 0, answered_ = 0;
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::vector<Connection> connections_;
  std::vector<double> latencies_ms_;
};

void Load::connect(const char* address, int port, int connections) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, address, &to.sin_addr) != 1) give_up(std::string("not an IPv4 address: ") + address);
  connections_.resize(static_cast<std::size_t>(connections));
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      give_up(std::string("cannot connect: ") + std::strerror(errno));
    }
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_[i].socket = std::move(socket);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_[i].socket.get(), &event) != 0) give_up("epoll_ctl");
  }
}

void Load::watch(Connection& connection, bool sending) {
  if (std::exchange(connection.waits_to_send, sending) == sending) return;
  epoll_event event{.events = sending ? EPOLLIN | EPOLLOUT : EPOLLIN,
                    .data = {.u64 = static_cast<std::uint64_t>(&connection - connections_.data())}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event) != 0) give_up("epoll_ctl");
}

void Load::begin(Connection& connection) {
  if (begun_ == images_) return;
  connection.name = begun_++;
  const std::string& body = files_[static_cast<std::size_t>(connection.name) % files_.size()];
  connection.head =
      "POST /v1/classify?name=" + std::to_string(connection.name) +
      " HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n";
  connection.sent = 0;
  connection.begun = system_clock().mono_now();
  send_more(connection);
}

void Load::send_more(Connection& connection) {
  const std::string& head = connection.head;
  const std::string& body = files_[static_cast<std::size_t>(connection.name) % files_.size()];
  while (connection.sent < head.size() + body.size()) {
    const std::size_t of_head = std::min(connection.sent, head.size()), of_body = connection.sent - of_head;
    iovec pieces[2] = {{const_cast<char*>(head.data()) + of_head, head.size() - of_head},
                       {const_cast<char*>(body.data()) + of_body, body.size() - of_body}};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(connection.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return watch(connection, true);
    if (sent < 0) give_up(std::string("cannot send: ") + std::strerror(errno));
    connection.sent += static_cast<std::size_t>(sent);
  }
  watch(connection, false);
}

void Load::receive_more(Connection& connection) {
  char buffer[16 * kKiB];
  const ssize_t got = ::recv(connection.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) give_up(got == 0 ? "the server closed a connection" : std::string("recv: ") + std::strerror(errno));
  connection.answer.append(buffer, static_cast<std::size_t>(got));
  if (connection.answer.size() > kAnswerBytesMax) give_up("an answer is longer than 64 KiB");
  if (!take_answer(connection)) return;
  ++answered_;
  latencies_ms_.push_back(elapsed_ms(connection.begun, system_clock().mono_now()));
  connection.name = -1;
  connection.answer.clear();
  begin(connection);
}

// False while it is not complete.
bool Load::take_answer(Connection& connection) {
  const std::string& answer = connection.answer;
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == answer.npos) return false;
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const std::size_t at = answer.find(kLength);
  std::size_t length = 0;
  if (at > end || std::from_chars(&answer[at + kLength.size()], &answer[end], length).ec != std::errc()) {
    give_up("an answer has no Content-Length");
  }
  if (answer.size() < end + 4 + length) return false;
  const std::string name = "\"name\":\"" + std::to_string(connection.name) + "\"";
  if (!answer.starts_with("HTTP/1.1 200 ") || answer.find(name, end) == answer.npos) {
    give_up("to request " + std::to_string(connection.name) + ": " + answer.substr(0, end + 300));
  }
  return true;
}

void Load::run() {
  for (Connection& connection : connections_) begin(connection);
  std::vector<epoll_event> events(connections_.size());
  while (answered_ < images_) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), kSilenceMaxMs);
    if (ready == 0) give_up("no answer for 15 minutes");
    for (int i = 0; i < ready; ++i) {
      Connection& connection = connections_[events[static_cast<std::size_t>(i)].data.u64];
      if (connection.name >= 0 && connection.waits_to_send) send_more(connection);
      if ((events[static_cast<std::size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive_more(connection);
    }
  }
}

void Load::report(double seconds) const {
  std::vector<double> sorted = latencies_ms_;
  std::ranges::sort(sorted);
  const auto at = [&](double part) {
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  };
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto in_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::printf(
      "{\"images\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"latency_ms\":{\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}}"
      "\n",
      images_, seconds, in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime), at(0.5), at(0.99), at(1));
}

}  // namespace

int main(int count, char** values) {
  if (count < 6) give_up("usage: load_client ADDRESS PORT CONNECTIONS IMAGES FILE...");
  const int port = std::atoi(values[2]), connections = std::atoi(values[3]);
  const long images = std::atol(values[4]);
  if (connections < 1 || images < 1) give_up("CONNECTIONS and IMAGES are 1 or more");
  std::vector<std::string> files;
  for (int i = 5; i < count; ++i) {
    auto bytes = read_file(values[i], 64 * kMiB);
    if (!bytes) give_up(describe(bytes.error()));
    files.push_back(*std::move(bytes));
  }
  Load load(std::move(files), images);
  load.connect(values[1], port, connections);
  const MonoTime begun = system_clock().mono_now();
  load.run();
  load.report(elapsed_ms(begun, system_clock().mono_now()) / 1000);
}
