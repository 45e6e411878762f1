#include "roles/web/results/results.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kPieceResults = 200;
constexpr std::uint64_t kPieceBytes = 64 * kKiB;

}  // namespace

ResultsList::ResultsList(const SessionResults& results, std::optional<SessionId> session, const Options& options)
    : results_(results), session_(std::move(session)), options_(options), after_(options.after) {
  if (session_ && options_.form == Form::by_name) latest_ = results_.latest_of_names(*session_, options_.after);
}

std::string ResultsList::next_piece() {
  std::string piece;
  if (at_ == At::end) return piece;
  const std::size_t left = options_.limit == 0 ? std::numeric_limits<std::size_t>::max() : options_.limit - listed_;
  SessionResults::Page page;
  if (session_) page = results_.page(*session_, after_, std::min(left, kPieceResults), kPieceBytes);
  if (std::exchange(at_, At::results) == At::begin) {
    piece = options_.form == Form::documents ? "{\"count\":" + std::to_string(page.count) + ",\"results\":[" : "{";
  }
  for (const SessionResults::Entry& entry : page.results) append(piece, *entry);
  after_ = page.next;
  more_ = page.next != 0 && options_.limit != 0 && listed_ >= options_.limit;
  if (page.next == 0 || more_) finish(piece);
  return piece.empty() ? next_piece() : piece;
}

void ResultsList::append(std::string& piece, const SessionResult& result) {
  if (options_.form == Form::by_name && !std::ranges::binary_search(latest_, result.number)) return;
  if (listed_++ > 0) piece += ',';
  if (options_.form == Form::documents) {
    piece += "{\"serial\":" + std::to_string(result.serial) + ',';
    piece.append(result.document, 1);  // behind its "{"
    return;
  }
  append_json_quoted(piece, result.name);
  piece += ':';
  append_json_quoted(piece, result.label);
}

void ResultsList::finish(std::string& piece) {
  at_ = At::end;
  if (options_.form == Form::by_name) {
    piece += "}\n";
    return;
  }
  piece += ']';
  if (more_) piece += ",\"next\":\"" + std::to_string(after_) + '"';
  piece += "}\n";
}

}  // namespace imgrec
