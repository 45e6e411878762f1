// Sends images at a fixed rate, whether they are answered or not (open loop), by clients that leave after a while, and
// looks at /healthz meanwhile.
//   overload_client ADDRESS PORT RATE SECONDS CLIENT_TIMEOUT_SECONDS FILE…
// POST /v1/classify with the bytes of the FILEs in turn. Goes on until every client is answered or has left. Prints one
// line of JSON: by the second how many images were answered with labels; how many were refused (503 with Retry-After),
// left, or failed; and the times of refusals and of /healthz.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/file.hpp"

namespace {

using namespace imgrec;

constexpr std::size_t kAnswerBytesMax = 256 * kKiB;
constexpr Millis kHealthEvery{100};
constexpr Millis kHealthTimeout{10'000};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "overload_client: %s\n", why.c_str());
  std::_Exit(1);
}

struct Client {
  Fd socket;
  bool health = false;
  std::string head;
  const std::string* body = nullptr;
  std::size_t sent = 0;
  std::string answer;
  MonoTime begun{}, leaves{};
};

struct Times {
  std::vector<double> ms;
  double at(double part) {
    if (ms.empty()) return 0;
    std::ranges::sort(ms);
    return ms[static_cast<std::size_t>(part * static_cast<double>(ms.size() - 1))];
  }
  std::string json() {
    char text[160];
    std::snprintf(text, sizeof text, "{\"count\":%zu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", ms.size(), at(0.5),
                  at(0.99), at(1));
    return text;
  }
};

class Overload {
 public:
  struct Plan {
    const char* address;
    int port;
    double rate;
    double seconds;
    Millis client_timeout;
  };
  Overload(const Plan& plan, std::vector<std::string> files) : plan_(plan), files_(std::move(files)) {
    to_.sin_family = AF_INET;
    to_.sin_port = htons(static_cast<std::uint16_t>(plan.port));
    if (::inet_pton(AF_INET, plan.address, &to_.sin_addr) != 1) give_up("not an IPv4 address");
  }
  void run();
  void report();

 private:
  void open(bool health, MonoTime now);
  void work_on(int fd);
  bool send_more(Client& client);
  void end(int fd);
  void take_answer(Client& client);
  void end_those_that_leave(MonoTime now);
  bool is_complete(const std::string& answer) const;

  const Plan plan_;
  const std::vector<std::string> files_;
  sockaddr_in to_{};
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::map<int, Client> clients_;
  std::multimap<MonoTime, int> leaving_;
  MonoTime begun_{};
  long sent_ = 0, refused_ = 0, left_ = 0, failed_ = 0, health_failed_ = 0;
  std::vector<long> good_by_second_;
  Times good_ms_, refused_ms_, health_ms_;
};

void Overload::open(bool health, MonoTime now) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) give_up("too many open connections: raise ulimit -n");
  const int fd = socket.get(), on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0 && errno != EINPROGRESS) {
    ++(health ? health_failed_ : failed_);
    return;
  }
  Client client{.socket = std::move(socket), .health = health, .head = {}, .answer = {}, .begun = now};
  if (health) {
    client.head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.leaves = now + kHealthTimeout;
  } else {
    client.body = &files_[static_cast<std::size_t>(sent_) % files_.size()];
    client.head = "POST /v1/classify?name=" + std::to_string(sent_++) +
                  " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: image/jpeg\r\nContent-Length: " +
                  std::to_string(client.body->size()) + "\r\n\r\n";
    client.leaves = now + plan_.client_timeout;
  }
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
  leaving_.emplace(client.leaves, fd);
  clients_.emplace(fd, std::move(client));
}

// False when the connection is over; an answer may still be there to be read.
bool Overload::send_more(Client& client) {
  const std::size_t all = client.head.size() + (client.body ? client.body->size() : 0);
  while (client.sent < all) {
    const bool in_head = client.sent < client.head.size();
    const std::string& from = in_head ? client.head : *client.body;
    const std::size_t at = in_head ? client.sent : client.sent - client.head.size();
    const ssize_t sent = ::send(client.socket.get(), from.data() + at, from.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == ENOTCONN;
    client.sent += static_cast<std::size_t>(sent);
  }
  return true;
}

bool Overload::is_complete(const std::string& answer) const {
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == answer.npos) return false;
  const std::size_t at = answer.find("\r\nContent-Length: ");
  return at < end && answer.size() >= end + 4 + std::strtoul(answer.c_str() + at + 18, nullptr, 10);
}

void Overload::take_answer(Client& client) {
  const MonoTime now = system_clock().mono_now();
  const double ms = elapsed_ms(client.begun, now);
  const bool good = client.answer.starts_with("HTTP/1.1 200 ");
  if (client.health) {
    health_ms_.ms.push_back(ms);
    if (!good) ++health_failed_;
  } else if (good) {
    good_ms_.ms.push_back(ms);
    const auto second = static_cast<std::size_t>(elapsed_ms(begun_, now) / 1000);
    good_by_second_.resize(std::max(good_by_second_.size(), second + 1));
    ++good_by_second_[second];
  } else if (client.answer.starts_with("HTTP/1.1 503 ") &&
             client.answer.find("\r\nRetry-After: ") != std::string::npos) {
    refused_ms_.ms.push_back(ms);
    ++refused_;
  } else {
    if (failed_++ == 0)
      std::fprintf(stderr, "overload_client: first failure: %s\n", client.answer.substr(0, 600).c_str());
  }
}

void Overload::end(int fd) {
  const auto client = clients_.find(fd);
  const auto [from, to] = leaving_.equal_range(client->second.leaves);
  const auto leaving = std::find_if(from, to, [&](const auto& entry) { return entry.second == fd; });
  if (leaving != to) leaving_.erase(leaving);
  clients_.erase(client);
}

void Overload::work_on(int fd) {
  const auto found = clients_.find(fd);
  if (found == clients_.end()) return;
  Client& client = found->second;
  send_more(client);
  char buffer[16 * kKiB];
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
    if (got > 0) client.answer.append(buffer, static_cast<std::size_t>(got));
    if (client.answer.size() > kAnswerBytesMax) give_up("an answer is too long");
    if (is_complete(client.answer) || got <= 0) {
      take_answer(client);
      return end(fd);
    }
  }
}

void Overload::end_those_that_leave(MonoTime now) {
  while (!leaving_.empty() && leaving_.begin()->first <= now) {
    const int fd = leaving_.begin()->second;
    ++(clients_.at(fd).health ? health_failed_ : left_);
    end(fd);
  }
}

void Overload::run() {
  begun_ = system_clock().mono_now();
  const auto length = std::chrono::duration_cast<MonoTime::duration>(std::chrono::duration<double>(plan_.seconds));
  const auto pause = std::chrono::duration_cast<MonoTime::duration>(std::chrono::duration<double>(1 / plan_.rate));
  MonoTime next_image = begun_, next_health = begun_;
  std::vector<epoll_event> events(1'024);
  while (true) {
    const MonoTime now = system_clock().mono_now();
    const bool sending = now < begun_ + length;
    for (; sending && next_image <= now; next_image += pause) open(false, now);
    if (next_health <= now) {
      open(true, now);
      next_health = now + kHealthEvery;
    }
    end_those_that_leave(now);
    const bool waits = std::ranges::any_of(clients_, [](const auto& entry) { return !entry.second.health; });
    if (!sending && !waits) return;
    const MonoTime until = sending ? std::min(next_image, next_health) : next_health;
    const double wait_ms = std::max(0.0, elapsed_ms(now, until));
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   std::min(50, static_cast<int>(wait_ms) + 1));
    for (int i = 0; i < ready; ++i) work_on(events[static_cast<std::size_t>(i)].data.fd);
  }
}

void Overload::report() {
  std::string by_second;
  for (const long good : good_by_second_) by_second += (by_second.empty() ? "" : ",") + std::to_string(good);
  std::printf(
      "{\"sent\":%ld,\"good\":%zu,\"refused\":%ld,\"left\":%ld,\"failed\":%ld,\"health_failed\":%ld,\"seconds\":%.3f,"
      "\"good_ms\":%s,\"refused_ms\":%s,\"health_ms\":%s,\"good_by_second\":[%s]}\n",
      sent_, good_ms_.ms.size(), refused_, left_, failed_, health_failed_,
      elapsed_ms(begun_, system_clock().mono_now()) / 1000, good_ms_.json().c_str(), refused_ms_.json().c_str(),
      health_ms_.json().c_str(), by_second.c_str());
}

}  // namespace

int main(int count, char** values) {
  if (count < 7) give_up("usage: overload_client ADDRESS PORT RATE SECONDS CLIENT_TIMEOUT_SECONDS FILE...");
  const double rate = std::atof(values[3]), seconds = std::atof(values[4]), timeout = std::atof(values[5]);
  if (rate <= 0 || seconds <= 0 || timeout <= 0) give_up("RATE, SECONDS and CLIENT_TIMEOUT_SECONDS are above 0");
  rlimit files_limit{};
  ::getrlimit(RLIMIT_NOFILE, &files_limit);
  files_limit.rlim_cur = files_limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files_limit);
  std::vector<std::string> files;
  for (int i = 6; i < count; ++i) {
    auto bytes = read_file(values[i], 64 * kMiB);
    if (!bytes) give_up(describe(bytes.error()));
    files.push_back(*std::move(bytes));
  }
  Overload load({.address = values[1],
                 .port = std::atoi(values[2]),
                 .rate = rate,
                 .seconds = seconds,
                 .client_timeout = Millis(static_cast<Millis::rep>(timeout * 1000))},
                std::move(files));
  load.run();
  load.report();
}
