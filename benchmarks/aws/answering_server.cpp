// A server that answers as SQS and S3 do, from memory and at once, so that a benchmark measures its clients. It looks
// at nothing but what the answer needs; signatures are not verified.
//   answering_server      prints its port, and serves until its standard input ends
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "aws/client/encoding.hpp"
#include "lib/base/digest.hpp"

namespace {

using imgrec::md5_hex;
using imgrec::aws::base64_of_hex;
using nlohmann::json;

constexpr std::size_t kObjectBytes = 100'000;
constexpr std::size_t kMessageBytes = 700;

std::string answer(const std::string& status_and_headers, const std::string& body) {
  return "HTTP/1.1 " + status_and_headers +
         "x-amzn-requestid: 11111111-2222-3333-4444-555555555555\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string json_answer(const json& body) {
  return answer("200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n", body.dump());
}

std::string ten_messages() {
  const std::string body(kMessageBytes, 'm');
  json messages = json::array();
  for (int i = 0; i < 10; ++i) {
    messages.push_back({{"MessageId", "219f8380-5770-4cc2-8c3e-5c715e145f5" + std::to_string(i)},
                        {"ReceiptHandle", std::string(180, 'r') + std::to_string(i)},
                        {"Body", body},
                        {"MD5OfBody", md5_hex(body)},
                        {"Attributes", {{"ApproximateReceiveCount", "1"}, {"SentTimestamp", "1767225600000"}}}});
  }
  return json_answer({{"Messages", messages}});
}

std::string batch_outcomes(const std::string& body) {
  const json request = json::parse(body);
  json done = json::array();
  for (const json& entry : request["Entries"]) {
    json one = {{"Id", entry["Id"]}};
    if (entry.contains("MessageBody")) {
      one["MessageId"] = "219f8380-5770-4cc2-8c3e-5c715e145f5e";
      one["MD5OfMessageBody"] = md5_hex(entry["MessageBody"].get<std::string>());
    }
    done.push_back(std::move(one));
  }
  return json_answer({{"Successful", done}, {"Failed", json::array()}});
}

std::string respond(std::string_view head, const std::string& body) {
  static const std::string object(kObjectBytes, 'o');
  static const std::string got = answer(
      "200 OK\r\nContent-Type: image/jpeg\r\nx-amz-checksum-type: FULL_OBJECT\r\n"
      "x-amz-checksum-sha256: " +
          base64_of_hex(imgrec::sha256_hex(object)) + "\r\nETag: \"" + md5_hex(object) +
          "\"\r\n"
          "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
      object);
  static const std::string put = answer("200 OK\r\nETag: \"" + md5_hex(object) + "\"\r\n", "");
  static const std::string received = ten_messages();
  static const std::string url = json_answer({{"QueueUrl", "http://127.0.0.1/123456789012/jobs"}});
  if (head.starts_with("PUT ")) return put;
  if (head.starts_with("GET ")) return got;
  if (head.find("AmazonSQS.ReceiveMessage") != std::string_view::npos) return received;
  if (head.find("AmazonSQS.GetQueueUrl") != std::string_view::npos) return url;
  return batch_outcomes(body);
}

std::size_t content_length(std::string_view head) {
  for (const std::string_view name : {"\r\ncontent-length: ", "\r\nContent-Length: "}) {
    const std::size_t at = head.find(name);
    if (at != std::string_view::npos) return std::strtoul(head.data() + at + name.size(), nullptr, 10);
  }
  return 0;
}

void serve(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string data;
  char piece[65536];
  while (true) {
    std::size_t end = data.find("\r\n\r\n");
    if (end != std::string::npos) {
      const std::string head = data.substr(0, end + 2);
      const std::size_t length = content_length(head);
      if (data.size() < end + 4 && head.find("100-continue") != std::string::npos) break;
      if (head.find("100-continue") != std::string::npos && data.size() == end + 4 && length > 0) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        (void)!::send(fd, kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
      }
      while (data.size() < end + 4 + length) {
        const ssize_t size = ::recv(fd, piece, sizeof piece, 0);
        if (size <= 0) break;
        data.append(piece, static_cast<std::size_t>(size));
      }
      if (data.size() < end + 4 + length) break;
      const std::string reply = respond(head, data.substr(end + 4, length));
      data.erase(0, end + 4 + length);
      std::string_view left = reply;
      while (!left.empty()) {
        const ssize_t size = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
        if (size <= 0) break;
        left.remove_prefix(static_cast<std::size_t>(size));
      }
      continue;
    }
    const ssize_t size = ::recv(fd, piece, sizeof piece, 0);
    if (size <= 0) break;
    data.append(piece, static_cast<std::size_t>(size));
  }
  ::close(fd);
}

}  // namespace

int main() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 64) != 0 || ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("answering_server");
    return 1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  std::thread([listener] {
    while (true) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) std::thread(serve, fd).detach();
    }
  }).detach();
  while (std::getchar() != EOF) {
  }
  std::_Exit(0);
}
