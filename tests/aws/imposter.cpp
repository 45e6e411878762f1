#include "tests/aws/imposter.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>

#include "lib/base/text.hpp"
#include "lib/http/client/curl_client.hpp"

namespace imgrec::aws::test {
namespace {

// Appends what arrives; false at the end of the connection.
bool read_some(int fd, std::string& data) {
  char piece[65536];
  const ssize_t size = ::recv(fd, piece, sizeof piece, 0);
  if (size > 0) data.append(piece, static_cast<std::size_t>(size));
  return size > 0;
}

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t size = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

// One request with its body; false at the end of the connection. `data` keeps what belongs to the next.
bool read_request(int fd, std::string& data, Seen& out) {
  std::size_t end = 0;
  while ((end = data.find("\r\n\r\n")) == std::string::npos) {
    if (!read_some(fd, data)) return false;
  }
  const std::string head = data.substr(0, end);
  data.erase(0, end + 4);
  const auto lines = split(head, '\n');
  const auto first = split(trim(lines[0]), ' ');
  out.method = first[0];
  out.target = first[1];
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t colon = lines[i].find(':');
    if (colon != std::string_view::npos)
      out.headers[to_lower(lines[i].substr(0, colon))] = trim(lines[i].substr(colon + 1));
  }
  const std::size_t length = out.headers.contains("content-length") ? std::stoul(out.headers["content-length"]) : 0;
  while (data.size() < length) {
    if (!read_some(fd, data)) return false;
  }
  out.body = data.substr(0, length);
  data.erase(0, length);
  return true;
}

// False: the connection is over.
bool write_reply(int fd, const Seen& request, const Reply& reply) {
  if (reply.fault == Fault::cut) return false;
  std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " Status\r\n";
  bool has_length = false;
  for (const auto& [name, value] : reply.headers) {
    text += name + ": " + value + "\r\n";
    has_length |= to_lower(name) == "content-length";
  }
  if (!has_length && reply.status != 204) text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  text += "\r\n";
  if (request.method != "HEAD") {
    text += reply.fault == Fault::none ? reply.body : reply.body.substr(0, reply.bytes_sent);
  }
  if (!write_all(fd, text) || reply.fault == Fault::truncate) return false;
  std::string silence;
  while (reply.fault == Fault::stall && read_some(fd, silence)) {
  }
  return reply.fault == Fault::none;
}

}  // namespace

std::map<std::string, std::string> Seen::form() const {
  std::map<std::string, std::string> out;
  std::string text = body;
  std::ranges::replace(text, '+', ' ');  // what "+" is in a form
  for (const auto& [name, value] : parse_query_string(text)) out.emplace(name, value);
  return out;
}

std::string Seen::operation() const {
  if (const auto target_header = headers.find("x-amz-target"); target_header != headers.end()) {
    return target_header->second.substr(target_header->second.find('.') + 1);
  }
  const auto fields = form();
  const auto action = fields.find("Action");
  return action == fields.end() ? "" : action->second;
}

Imposter::Imposter() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ADD_FAILURE() << "the imposter cannot listen";
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

Imposter::~Imposter() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  servers_.clear();
  for (const int fd : open_) ::close(fd);
  ::close(listener_);
}

void Imposter::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    std::lock_guard lock(mutex_);
    open_.push_back(fd);
    servers_.emplace_back([this, fd] { serve(fd); });
  }
}

void Imposter::serve(int fd) {
  std::string data;
  while (true) {
    Seen request;
    if (!read_request(fd, data, request)) break;
    if (!write_reply(fd, request, answer(request))) break;
  }
  ::shutdown(fd, SHUT_RDWR);  // closed by the destructor: no other connection gets this number meanwhile
}

Reply Imposter::answer(const Seen& request) {
  Step step;
  {
    std::lock_guard lock(mutex_);
    if (remembers_) seen_.push_back(request);
    if (!steps_.empty()) {
      step = std::move(steps_.front());
      steps_.pop_front();
    } else {
      step = always_;
    }
  }
  if (step) return step(request);
  ADD_FAILURE() << "not in the script: " << request.method << " " << request.target << " " << request.operation();
  return {.status = 400};
}

void Imposter::then(Step step) {
  std::lock_guard lock(mutex_);
  steps_.push_back(std::move(step));
}

void Imposter::then(Reply reply) {
  then([reply](const Seen&) { return reply; });
}

void Imposter::always(Step step) {
  std::lock_guard lock(mutex_);
  always_ = std::move(step);
}

void Imposter::remember_no_more() {
  std::lock_guard lock(mutex_);
  remembers_ = false;
}

std::vector<Seen> Imposter::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

std::size_t Imposter::connections() const {
  std::lock_guard lock(mutex_);
  return open_.size();
}

SessionParts ImposterWorld::parts(const std::string& region) const {
  SessionParts out;
  out.endpoints.region = region;
  out.endpoints.overrides[""] = imposter.url();
  out.http = make_curl_client({.user_agent = "imgrec-test"});
  out.credentials = std::make_unique<FixedCredentials>(test_keys());
  return out;
}

Session& ImposterWorld::in_region(const std::string& region) {
  other_ = std::make_unique<Session>(parts(region), clock, rng);
  return *other_;
}

}  // namespace imgrec::aws::test
