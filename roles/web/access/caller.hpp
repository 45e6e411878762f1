// Who sends a request, by its key.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"
#include "roles/web/access/access.hpp"
#include "roles/web/access/key_ring.hpp"
#include "roles/web/access/keys.hpp"

namespace imgrec {

struct Caller {
  std::shared_ptr<const AccessKey> key;  // null: none was presented, or the service asks for none
  bool keys_needed = false;

  bool may(Access needed) const;
  /// Other sessions' jobs, too. Without keys nobody does: there a session is all that keeps its jobs its own.
  bool sees_all() const { return key && key->roles.admin; }
};

/// The key in "Authorization: Bearer KEY", "X-Api-Key: KEY", the access key id of an AWS signature (so that AWS's own
/// clients can present one), or the cookie of the page's sign-in, if the page itself sends the request.
std::optional<std::string> presented_key(const Request& request, const WebConfig& web);

/// keys: null where the service asks for none. Errors: denied "bad_key" when a key was presented that is none of them
/// (any more).
Result<Caller> identify(const Request& request, const WebConfig& web, const KeyRing* keys);

/// Denied "key_needed" when nobody has been identified, "role_needed" when the key's roles do not allow it.
Result<void> check_access(const Caller& caller, Access needed);

/// To whom jobs belong that come with this request: its session (X-Session-Id or cookie) and, where there is one, its
/// key: then a name made of both, so that two keys never share a session, and a key without any session has one of its
/// own. Nothing without session and key.
std::optional<SessionId> owner_of(const Request& request, const Caller& caller);
/// The same for a session that is named in another way.
std::optional<SessionId> owner_of(const std::optional<SessionId>& session, const Caller& caller);

/// The value of Set-Cookie that signs the page in with a key, until the browser ends; without a key: out again.
std::string key_cookie(const Request& request, const std::string& key, const WebConfig& web);

}  // namespace imgrec
