// Keys of the service's users: what they are, and how they lie in a file or in the store.
//
// A key is "imgrec_ID_SECRET": an id of 12 hex digits, by which it is found and revoked, and 256 random bits. Only the
// SHA-256 of the whole key is kept. A slow hash (scrypt, Argon2) would add nothing: it makes guessing words that people
// choose expensive, and nobody guesses 256 random bits; but each request would pay for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/secret.hpp"
#include "roles/web/access/access.hpp"

namespace imgrec {

/// What a key's holder may do. A key has one role or several.
struct Roles {
  bool submit = false, read = false, admin = false;
  bool operator==(const Roles&) const = default;
  bool allow(Access needed) const;
};

/// "submit", "read", "admin", or several with commas between. Errors: invalid "bad_role".
Result<Roles> parse_roles(std::string_view text);
/// "submit,read"
std::string to_string(const Roles& roles);

struct AccessKey {
  std::string id;    // 12 hex digits
  std::string name;  // for people: whose it is
  Roles roles;
  Sha256Digest digest{};  // of the whole key
  WallTime created_at{};
  double images_per_second = 0;      // 0: no limit
  std::uint64_t images_per_day = 0;  // UTC days; 0: no limit
  bool is_limited() const { return images_per_second > 0 || images_per_day > 0; }
  bool operator==(const AccessKey&) const = default;
};

constexpr std::size_t kAccessKeysMax = 10'000;
constexpr std::size_t kKeyNameBytesMax = 100;

/// In memory and as a document: {"v":1,"keys":[{"id":…,"name":…,"roles":"submit","sha256":…,"created_at":…,
/// "images_per_second":…,"images_per_day":…}]}, one key a line.
std::string to_json(std::span<const AccessKey> keys);
/// Errors: invalid "bad_keys", which says which key is wrong and why.
Result<std::vector<AccessKey>> parse_keys(std::string_view json);

struct NewKey {
  AccessKey entry;
  Secret key;  // "imgrec_ID_SECRET": shown once
};
/// What is set in `wanted` besides id and digest is kept.
NewKey make_key(AccessKey wanted, Rng& rng);

/// The id in a presented key; nothing when it has not the form of one.
std::optional<std::string_view> id_of_key(std::string_view presented);

/// Takes the same time however much of the key is right.
bool matches(const AccessKey& key, std::string_view presented);

/// "10/s", "90/m", "1000/h" as images a second, more than 0. Errors: invalid "bad_rate".
Result<double> parse_rate(std::string_view text);
/// "5000/day" or "5000". Errors: invalid "bad_quota".
Result<std::uint64_t> parse_quota(std::string_view text);

}  // namespace imgrec
