#include "roles/web/access/session.hpp"

#include "lib/base/text.hpp"
#include "lib/job/job.hpp"
#include "roles/web/access/site.hpp"

namespace imgrec {

std::optional<std::string_view> cookie(const Request& request, std::string_view name) {
  for (const auto& [header, value] : request.headers) {
    if (header != "cookie") continue;
    for (const std::string_view piece : split(value, ';')) {
      const std::string_view pair = trim(piece);
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

std::optional<SessionId> session_of(const Request& request) {
  for (const auto& given : {request.header("x-session-id"), cookie(request, "imgrec_session")}) {
    if (!given) continue;
    if (auto session = parse_session_id(*given)) return *std::move(session);
  }
  return std::nullopt;
}

SessionId make_session(Rng& rng) {
  return SessionId(random_hex(rng, 16));
}

std::string session_cookie(const Request& request, const SessionId& session, const WebConfig& web) {
  return "imgrec_session=" + session.str() + "; Path=/; HttpOnly; SameSite=Lax" +
         (is_secure(request, web) ? "; Secure" : "");
}

}  // namespace imgrec
