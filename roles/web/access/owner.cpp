#include "roles/web/access/owner.hpp"

#include "lib/base/digest.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kBytes = 16;  // 128 bits: nobody finds a session that has the owner id of another's

}  // namespace

OwnerId make_owner_id(const std::optional<SessionId>& name) {
  if (!name) return {};
  const Sha256Digest digest = sha256({"owner\n", name->str()});
  return OwnerId(hex_of(view(digest).substr(0, kBytes)));
}

}  // namespace imgrec
