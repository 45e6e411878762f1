// A plain HTTP/1.1 client for tests: one connection per request, exact bytes in and out.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgrec::test {

struct HttpReply {
  int status = 0;                                            // 0: the connection ended without an answer
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string header(std::string_view name) const;
};

struct HttpAsk {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

/// Waits for the answer however long it takes (the test's own time limit ends it).
HttpReply http_ask(int port, const HttpAsk& ask);

struct FormFile {
  std::string field, filename, bytes;
};

/// POST of multipart/form-data, written as Python's requests writes it.
HttpAsk form_post(const std::string& target, const std::vector<FormFile>& files);

}  // namespace imgrec::test
