// Whose results are whose: a client's session, by header or cookie.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// The value of one cookie.
std::optional<std::string_view> cookie(const Request& request, std::string_view name);

/// X-Session-Id, else the cookie imgrec_session; nothing when neither holds a session id.
std::optional<SessionId> session_of(const Request& request);

SessionId make_session(Rng& rng);

/// The value of Set-Cookie that makes a browser, or a program that keeps cookies, known again.
std::string session_cookie(const Request& request, const SessionId& session, const WebConfig& web);

}  // namespace imgrec
