// What a response says of the images that were sent.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/http/load/response_reader.hpp"
#include "roles/load/plan.hpp"

namespace imgrec::load {

struct ImageAnswer {
  std::string name{};      // whose it is, as the service says; empty: it does not say
  std::string label{};     // of the best class
  std::string error{};     // "image_truncated", "http_503 overloaded"; empty: none
  std::string location{};  // of a job that has no result yet; empty: it has one
};

/// Keeps a parser's memory from one response to the next.
class AnswerReader {
 public:
  explicit AnswerReader(Dialect dialect);
  ~AnswerReader();

  /// One answer for each of the `count` images of the request, in their order. An error of the whole request is that
  /// of each image; so is "bad_answer", when the response is not what the dialect says.
  void read(const Response& response, std::size_t count, std::vector<ImageAnswer>& answers);

 private:
  struct Parser;
  void read_documents(const Response& response, std::size_t count, std::vector<ImageAnswer>& answers);
  std::string error_of(const Response& response);

  const Dialect dialect_;
  const std::unique_ptr<Parser> parser_;
};

}  // namespace imgrec::load
