#include "roles/web/api/list_limit.hpp"

#include <charconv>
#include <string>

#include "lib/http/server/server.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kLimitMax = 100, kLimitDefault = 50;

}  // namespace

Result<std::size_t> list_limit(const Request& request) {
  const auto text = request.query_value("limit");
  if (!text) return kLimitDefault;
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (error == std::errc() && end == text->data() + text->size() && limit >= 1 && limit <= kLimitMax) return limit;
  return fail(ErrorKind::invalid, "bad_limit", "limit is a whole number from 1 to " + std::to_string(kLimitMax) + ".");
}

}  // namespace imgrec
