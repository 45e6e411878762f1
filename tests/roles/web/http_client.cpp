#include "tests/roles/web/http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec::test {
namespace {

std::string round_trip(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string received;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    std::string_view rest = request;
    while (!rest.empty()) {
      const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;  // the server may answer early and close; its answer is read below
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    char buffer[16384];
    while (true) {
      const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      received.append(buffer, static_cast<std::size_t>(count));
    }
  }
  ::close(fd);
  return received;
}

std::string without_chunks(std::string_view body) {
  std::string whole;
  while (true) {
    const std::size_t line = body.find("\r\n");
    const std::size_t size = line == body.npos ? 0 : std::stoul(std::string(body.substr(0, line)), nullptr, 16);
    if (size == 0 || body.size() < line + 2 + size + 2) return whole;
    whole += body.substr(line + 2, size);
    body.remove_prefix(line + 2 + size + 2);
  }
}

}  // namespace

std::string HttpReply::header(std::string_view name) const {
  const auto found = std::ranges::find_if(headers, [&](const auto& header) { return header.first == name; });
  return found == headers.end() ? "" : found->second;
}

HttpReply http_ask(int port, const HttpAsk& ask) {
  std::string request = ask.method + " " + ask.target + " HTTP/1.1\r\n";
  const bool has_host = std::ranges::any_of(ask.headers, [](const auto& header) { return header.first == "Host"; });
  if (!has_host) request += "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  for (const auto& [name, value] : ask.headers) request += name + ": " + value + "\r\n";
  if (ask.method == "POST") request += "Content-Length: " + std::to_string(ask.body.size()) + "\r\n";
  request += "Connection: close\r\n\r\n" + ask.body;

  const std::string received = round_trip(port, request);
  HttpReply reply;
  const std::size_t end = received.find("\r\n\r\n");
  if (end == std::string::npos || !received.starts_with("HTTP/1.1 ")) return reply;
  reply.status = std::stoi(received.substr(9, 3));
  for (const std::string_view line : split(std::string_view(received).substr(0, end), '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    reply.headers.emplace_back(to_lower(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
  }
  reply.body = received.substr(end + 4);
  if (reply.header("transfer-encoding") == "chunked") reply.body = without_chunks(reply.body);
  return reply;
}

HttpAsk form_post(const std::string& target, const std::vector<FormFile>& files) {
  const std::string boundary = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
  HttpAsk ask{.method = "POST",
              .target = target,
              .headers = {{"Content-Type", "multipart/form-data; boundary=" + boundary}},
              .body = {}};
  for (const FormFile& file : files) {
    ask.body += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + file.field + "\"; filename=\"" +
                file.filename + "\"\r\n\r\n" + file.bytes + "\r\n";
  }
  ask.body += "--" + boundary + "--\r\n";
  return ask;
}

}  // namespace imgrec::test
