// GET /results: what a session's images were recognised as.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "roles/web/results/session_results.hpp"

namespace imgrec {

/// The body of the list, piece by piece: whoever reads slowly costs one piece of memory. Results that go meanwhile are
/// left out, and so are those that come after the first piece of a list by name.
class ResultsList {
 public:
  enum class Form {
    documents,  // {"count":N,"results":[DOCUMENT,…],"next":"CURSOR"}; each document begins with its serial number; next
                // only when there are more than `limit`
    by_name     // {NAME:LABEL,…}, as the reference systems list them; the latest of equal names
  };
  struct Options {
    Form form = Form::documents;
    std::uint64_t after = 0;  // the cursor
    std::size_t limit = 0;    // results at most; 0: all
  };
  /// Without a session the list is empty. `results` must outlive it.
  ResultsList(const SessionResults& results, std::optional<SessionId> session, const Options& options);

  /// Empty when there is no more.
  std::string next_piece();

 private:
  void append(std::string& piece, const SessionResult& result);
  void finish(std::string& piece);

  const SessionResults& results_;
  const std::optional<SessionId> session_;
  const Options options_;
  std::vector<std::uint64_t> latest_;  // by_name: the numbers to list, ascending
  std::uint64_t after_;
  std::size_t listed_ = 0;
  bool more_ = false;  // than the limit
  enum class At { begin, results, end } at_ = At::begin;
};

}  // namespace imgrec
