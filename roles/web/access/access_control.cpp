#include "roles/web/access/access_control.hpp"

#include <cmath>
#include <string>

namespace imgrec {
namespace {

// https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/: q is the quota of a window of w seconds; r is
// what is left of it, for t seconds.
HttpHeaders limit_headers(const AllowanceLeft& left) {
  std::string policy, state;
  const auto add = [](std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; };
  if (left.per_second > 0) {
    // A rate below one a second is so many seconds for one image.
    const double window = std::max(1.0, std::ceil(1 / left.per_second));
    const auto quota = static_cast<std::uint64_t>(std::floor(left.per_second * window));
    const auto images = static_cast<std::uint64_t>(std::floor(left.images));
    const std::string seconds = std::to_string(static_cast<std::uint64_t>(window));
    add(policy, "\"rate\";q=" + std::to_string(quota) + ";w=" + seconds);
    add(state, "\"rate\";r=" + std::to_string(images) + ";t=" + seconds);
  }
  if (left.per_day > 0) {
    add(policy, "\"day\";q=" + std::to_string(left.per_day) + ";w=86400");
    add(state, "\"day\";r=" + std::to_string(left.images_today) + ";t=" + std::to_string(left.day_left.count()));
  }
  if (policy.empty()) return {};
  return {{"RateLimit-Policy", policy}, {"RateLimit", state}};
}

}  // namespace

Result<Caller> AccessControl::admit(const Request& request, Access needed) const {
  if (web_.open_metrics && request.path == "/metrics") needed = Access::open;
  auto caller = identify(request, web_, keys_.get());
  // What is open to all is open to who presents a wrong key, too: a page whose cookie has expired has to load.
  if (!caller && needed == Access::open) return Caller{.key = nullptr, .keys_needed = true};
  if (!caller) return caller;
  if (auto allowed = check_access(*caller, needed); !allowed) return fail(allowed.error());
  return caller;
}

std::optional<Refused> AccessControl::known_refusal(const Caller& caller) const {
  if (!caller.key || !caller.key->is_limited()) return std::nullopt;
  return allowances_.known_refusal(*caller.key);
}

Result<AccessControl::Charge> AccessControl::charge(const Caller& caller, std::uint64_t images,
                                                    const CallLimits& limits) {
  if (!caller.key || !caller.key->is_limited() || images == 0) return Charge{};
  const auto answer = allowances_.take(*caller.key, images, limits);
  if (!answer) return fail(answer.error());
  return Charge{.refused = answer->refused, .headers = limit_headers(answer->left)};
}

void AccessControl::refresh(const CallLimits& limits) {
  if (!keys_) return;
  keys_->refresh(limits);
  allowances_.keep(keys_->ids());
}

Seconds retry_after(const Refused& refused) {
  return std::max(Seconds(1), std::chrono::ceil<Seconds>(refused.retry_after));
}

Error refusal_of(const Refused& refused) {
  const std::string again = std::to_string(retry_after(refused).count()) + " s";
  if (refused.limit == Refused::Limit::quota) {
    return {ErrorKind::throttled, "quota_exceeded",
            "This key has no images left for today (UTC) for this request; it has again in " + again + "."};
  }
  return {ErrorKind::throttled, "rate_exceeded",
          "This key sends more images a second than it may; send this request again in " + again + "."};
}

HttpHeaders access_headers(int status, std::string_view code) {
  if (status != 401) return {};
  // RFC 6750, section 3.
  return {{"WWW-Authenticate",
           code == "bad_key" ? "Bearer realm=\"imgrec\", error=\"invalid_token\"" : "Bearer realm=\"imgrec\""}};
}

}  // namespace imgrec
