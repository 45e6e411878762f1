#include "roles/web/access/keys.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/base/ids.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using nlohmann::json;

constexpr std::string_view kPrefix = "imgrec_";
constexpr std::size_t kIdDigits = 12, kSecretDigits = 64;
constexpr double kRateMax = 1e6;
constexpr std::uint64_t kQuotaMax = 1'000'000'000'000;

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kKeyNameBytesMax && is_valid_utf8(text) && find_control(text) == text.npos;
}

std::optional<Sha256Digest> digest_of_hex(std::string_view hex) {
  Sha256Digest digest{};
  if (!is_hex(hex, 2 * digest.size())) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, digest[i], 16);
  }
  return digest;
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// A number that may be left out; nothing when it is out of range or no number.
std::optional<double> number_of(const json& object, const char* name, double max) {
  const auto found = object.find(name);
  if (found == object.end()) return 0;
  if (!found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return value >= 0 && value <= max ? std::optional(value) : std::nullopt;
}

Result<AccessKey> parse_entry(const json& object) {
  const auto wrong = [](std::string what) { return fail(ErrorKind::invalid, "bad_keys", std::move(what)); };
  if (!object.is_object()) return wrong("is no object");
  AccessKey key{.id = text_of(object, "id"), .name = text_of(object, "name"), .roles = {}};
  if (!is_hex(key.id, kIdDigits)) return wrong("has no \"id\" of 12 hex digits");
  if (!is_name(key.name)) return wrong("has no \"name\" of 1 to 100 bytes on one line");
  const auto roles = parse_roles(text_of(object, "roles"));
  if (!roles) return wrong("has no \"roles\": submit, read, admin, or several with commas between");
  const auto digest = digest_of_hex(text_of(object, "sha256"));
  if (!digest) return wrong("has no \"sha256\" of 64 hex digits");
  const auto created_at = parse_rfc3339(text_of(object, "created_at"));
  if (!created_at) return wrong("has no \"created_at\" such as 2026-11-22T08:15:30.123Z");
  const auto rate = number_of(object, "images_per_second", kRateMax);
  const auto quota = number_of(object, "images_per_day", static_cast<double>(kQuotaMax));
  if (!rate || !quota) return wrong("has an \"images_per_second\" or \"images_per_day\" out of range");
  key.roles = *roles;
  key.digest = *digest;
  key.created_at = *created_at;
  key.images_per_second = *rate;
  key.images_per_day = static_cast<std::uint64_t>(*quota);
  return key;
}

}  // namespace

bool Roles::allow(Access needed) const {
  switch (needed) {
    case Access::open: return true;
    case Access::submit: return submit || admin;
    case Access::watch: return submit || read || admin;
    case Access::read: return read || admin;
    case Access::admin: return admin;
  }
  return false;
}

Result<Roles> parse_roles(std::string_view text) {
  Roles roles;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view role = trim(part);
    if (role == "submit") {
      roles.submit = true;
    } else if (role == "read") {
      roles.read = true;
    } else if (role == "admin") {
      roles.admin = true;
    } else {
      return fail(ErrorKind::invalid, "bad_role",
                  "\"" + std::string(role) +
                      "\" is no role. There are submit (send images, see one's own jobs), read " +
                      "(status and metrics) and admin (everything); several are written with commas between.");
    }
  }
  return roles;
}

std::string to_string(const Roles& roles) {
  std::string text;
  const auto add = [&](bool has, std::string_view role) {
    if (has) text.append(text.empty() ? "" : ",").append(role);
  };
  add(roles.submit, "submit");
  add(roles.read, "read");
  add(roles.admin, "admin");
  return text;
}

std::string to_json(std::span<const AccessKey> keys) {
  std::string text = "{\"v\":1,\"keys\":[";
  for (const AccessKey& key : keys) {
    JsonWriter entry;
    entry.begin_object().member("id", key.id).member("name", key.name).member("roles", to_string(key.roles));
    entry.member("sha256", hex_of(view(key.digest))).member("created_at", to_rfc3339(key.created_at));
    if (key.images_per_second > 0) entry.member("images_per_second", key.images_per_second);
    if (key.images_per_day > 0) entry.member("images_per_day", key.images_per_day);
    text += (&key == keys.data() ? "\n" : ",\n") + entry.end_object().finish();
  }
  return text + "\n]}\n";
}

Result<std::vector<AccessKey>> parse_keys(std::string_view text) {
  const auto wrong = [](std::string what) { return fail(ErrorKind::invalid, "bad_keys", std::move(what)); };
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return wrong("The keys are no JSON document.");
  const auto version = document.find("v");
  if (version == document.end() || *version != 1) return wrong("The keys are not of version 1 (\"v\").");
  const auto list = document.find("keys");
  if (list == document.end() || !list->is_array()) return wrong("The keys have no list \"keys\".");
  if (list->size() > kAccessKeysMax) {
    return wrong("There are more than " + std::to_string(kAccessKeysMax) + " keys: revoke some.");
  }
  std::vector<AccessKey> keys;
  std::set<std::string_view> ids;
  keys.reserve(list->size());
  for (const json& object : *list) {
    auto key = parse_entry(object);
    if (!key) return wrong("Key " + std::to_string(keys.size() + 1) + " of the list " + key.error().message + ".");
    keys.push_back(*std::move(key));
    if (!ids.insert(keys.back().id).second) return wrong("The id " + keys.back().id + " is there twice.");
  }
  return keys;
}

NewKey make_key(AccessKey wanted, Rng& rng) {
  wanted.id = random_hex(rng, kIdDigits / 2);
  Secret key(std::string(kPrefix) + wanted.id + "_" + random_hex(rng, kSecretDigits / 2));
  wanted.digest = sha256({key.reveal()});
  return {std::move(wanted), std::move(key)};
}

std::optional<std::string_view> id_of_key(std::string_view presented) {
  if (presented.size() != kPrefix.size() + kIdDigits + 1 + kSecretDigits) return std::nullopt;
  const std::string_view id = presented.substr(kPrefix.size(), kIdDigits);
  const bool formed = presented.starts_with(kPrefix) && presented[kPrefix.size() + kIdDigits] == '_' &&
                      is_hex(id, kIdDigits) && is_hex(presented.substr(kPrefix.size() + kIdDigits + 1), kSecretDigits);
  return formed ? std::optional(id) : std::nullopt;
}

bool matches(const AccessKey& key, std::string_view presented) {
  return equal_in_constant_time(view(sha256({presented})), view(key.digest));
}

Result<double> parse_rate(std::string_view text) {
  double count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const double seconds = unit == "/s" ? 1 : unit == "/m" ? 60 : unit == "/h" ? 3600 : 0;
  if (error != std::errc() || seconds == 0 || !(count > 0) || count / seconds > kRateMax) {
    return fail(ErrorKind::invalid, "bad_rate",
                "\"" + std::string(text) + "\" is no rate: write images a second, minute or hour, such as 10/s, 90/m.");
  }
  return count / seconds;
}

Result<std::uint64_t> parse_quota(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error != std::errc() || !(unit.empty() || unit == "/day") || count == 0 || count > kQuotaMax) {
    return fail(ErrorKind::invalid, "bad_quota",
                "\"" + std::string(text) + "\" is no quota: write images a day, such as 5000/day.");
  }
  return count;
}

}  // namespace imgrec
