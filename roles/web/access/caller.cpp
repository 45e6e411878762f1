#include "roles/web/access/caller.hpp"

#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"
#include "roles/web/access/session.hpp"
#include "roles/web/access/site.hpp"

namespace imgrec {
namespace {

constexpr std::string_view kKeyCookie = "imgrec_key";

// What follows the scheme in an Authorization header; nothing for another scheme.
std::optional<std::string_view> credentials(std::string_view header, std::string_view scheme) {
  header = trim(header);
  if (header.size() <= scheme.size() || to_lower(header.substr(0, scheme.size())) != scheme) return std::nullopt;
  if (header[scheme.size()] != ' ') return std::nullopt;
  return trim(header.substr(scheme.size()));
}

// "AKID" of "Credential=AKID/20261127/us-east-1/rekognition/aws4_request, SignedHeaders=…"
std::optional<std::string_view> access_key_id(std::string_view signature) {
  constexpr std::string_view kName = "Credential=";
  const std::size_t begin = signature.find(kName);
  if (begin == signature.npos) return std::nullopt;
  const std::string_view rest = signature.substr(begin + kName.size());
  return rest.substr(0, rest.find('/'));
}

}  // namespace

bool Caller::may(Access needed) const {
  return !keys_needed || needed == Access::open || (key && key->roles.allow(needed));
}

std::optional<std::string> presented_key(const Request& request, const WebConfig& web) {
  if (const auto header = request.header("authorization")) {
    if (const auto bearer = credentials(*header, "bearer")) return std::string(*bearer);
    if (const auto signature = credentials(*header, "aws4-hmac-sha256")) {
      if (const auto id = access_key_id(*signature)) return std::string(*id);
    }
  }
  if (const auto header = request.header("x-api-key")) return std::string(trim(*header));
  // A browser sends a cookie whoever's page it shows.
  if (const auto value = cookie(request, kKeyCookie); value && !value->empty() && is_same_site(request, web)) {
    return std::string(*value);
  }
  return std::nullopt;
}

Result<Caller> identify(const Request& request, const WebConfig& web, const KeyRing* keys) {
  if (keys == nullptr) return Caller{};
  const auto presented = presented_key(request, web);
  if (!presented) return Caller{.key = nullptr, .keys_needed = true};
  auto key = keys->find(*presented);
  if (!key) {
    return fail(ErrorKind::denied, "bad_key",
                "The key is unknown here, was revoked, or has lost a part of it. It begins with imgrec_ and has 84 "
                "characters; `imgrec key list` shows whose there are.");
  }
  return Caller{.key = std::move(key), .keys_needed = true};
}

Result<void> check_access(const Caller& caller, Access needed) {
  if (caller.may(needed)) return {};
  if (!caller.key) {
    return fail(ErrorKind::denied, "key_needed",
                "This service asks for a key: send it as \"Authorization: Bearer KEY\" or \"X-Api-Key: KEY\". Who runs "
                "the service makes one (imgrec key create).");
  }
  const std::string role = needed == Access::admin   ? "admin"
                           : needed == Access::watch ? "submit, read or admin"
                           : needed == Access::read  ? "read or admin"
                                                     : "submit or admin";
  return fail(ErrorKind::denied, "role_needed",
              "This takes a key of the role " + role + "; yours has " + to_string(caller.key->roles) + ".");
}

std::optional<SessionId> owner_of(const Request& request, const Caller& caller) {
  return owner_of(session_of(request), caller);
}

std::optional<SessionId> owner_of(const std::optional<SessionId>& session, const Caller& caller) {
  if (!caller.key) return session;
  // Ids of keys have one length, so that no two pairs make one text.
  const std::string pair = caller.key->id + "/" + (session ? session->str() : "");
  return SessionId(sha256_hex(pair).substr(0, 32));
}

std::string key_cookie(const Request& request, const std::string& key, const WebConfig& web) {
  return std::string(kKeyCookie) + "=" + key + "; Path=/; HttpOnly; SameSite=Strict" +
         (key.empty() ? "; Max-Age=0" : "") + (is_secure(request, web) ? "; Secure" : "");
}

}  // namespace imgrec
