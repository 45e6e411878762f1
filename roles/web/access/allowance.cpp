#include "roles/web/access/allowance.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

using Time = TokenBucket::Time;

constexpr Millis kLeaseLife{1'000};
constexpr double kLeaseAheadSeconds = 0.5;
constexpr std::uint64_t kQuotaShare = 50;  // of what is left, the part that a lease may hold
constexpr double kLeaseAheadMax = 100;     // images, where only the quota limits
constexpr int kSwapsMax = 20;
constexpr std::uint64_t kUseBytesMax = 4096;
constexpr std::chrono::days kDay{1};

ObjectKey use_key(const AccessKey& key) {
  return ObjectKey("access/use/" + key.id + ".json");
}

Millis at_least_1ms(Time time) {
  return std::max(Millis(1), std::chrono::ceil<Millis>(time));
}

Millis day_left(WallTime now) {
  return std::chrono::ceil<Millis>(std::chrono::floor<std::chrono::days>(now) + kDay - now);
}

}  // namespace

std::string to_json(const UseDocument& use) {
  JsonWriter json(128);
  json.begin_object().member("v", 1).member("tokens", use.tokens).member("at_ms", use.at_ms);
  return json.member("day", use.day).member("images", use.images).end_object().finish();
}

Result<std::optional<UseDocument>> parse_use(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  if (json.contains("v") && json["v"] != 1) return other_version("count of what this key has used");
  for (const char* name : {"tokens", "at_ms", "day", "images"}) {
    if (const auto found = json.find(name); found == json.end() || !found->is_number()) return std::nullopt;
  }
  return UseDocument{.tokens = json["tokens"].get<double>(),
                     .at_ms = json["at_ms"].get<std::int64_t>(),
                     .day = json["day"].get<std::int64_t>(),
                     .images = json["images"].get<std::uint64_t>()};
}

struct Allowances::Key {
  explicit Key(double rate) : per_second(rate), bucket(rate) {}
  const double per_second;
  std::atomic<MonoTime::rep> refused_until = MonoTime::min().time_since_epoch().count();
  std::atomic<Refused::Limit> refused_by = Refused::Limit::rate;

  std::mutex mutex;  // held while the store is asked: the others would ask it just the same
  TokenBucket bucket;
  std::uint64_t leased = 0;  // images that may be taken without asking
  MonoTime lease_end{};
  std::int64_t lease_day = 0;
  std::uint64_t used_today = 0;  // by all nodes, when the store was last asked
};

struct Allowances::Swap {
  std::optional<Refused> refused;
  std::uint64_t granted = 0;
  UseDocument use;
};

std::shared_ptr<Allowances::Key> Allowances::state_of(const AccessKey& key) {
  std::lock_guard lock(mutex_);
  auto& state = keys_[key.id];
  // Somebody may have edited the key's limits.
  if (!state || state->per_second != key.images_per_second) state = std::make_shared<Key>(key.images_per_second);
  return state;
}

Result<Allowances::Answer> Allowances::take(const AccessKey& key, std::uint64_t images, const CallLimits& limits) {
  const auto state = state_of(key);
  std::lock_guard lock(state->mutex);
  const MonoTime now = clock_.mono_now();
  const Time time = now.time_since_epoch();
  const auto count = static_cast<double>(images);
  std::optional<Refused> refused;  // by what this node counts itself, before the store is asked
  if (key.images_per_second > 0) {
    const Time wait = state->bucket.wait(count, time);
    if (wait > Time(0)) refused = Refused{.limit = Refused::Limit::rate, .retry_after = at_least_1ms(wait)};
  }
  if (!refused) {
    auto leased = lease(*state, key, images, limits);
    if (!leased) return fail(leased.error());
    refused = *leased;
  }
  if (refused) {
    // A large request may be refused where a small one is not.
    if (images == 1) {
      state->refused_by = refused->limit;
      state->refused_until = (now + refused->retry_after).time_since_epoch().count();
    }
    return Answer{refused, left(*state, key)};
  }
  if (key.images_per_second > 0) state->bucket.take(count, time);
  state->leased -= images;
  return Answer{std::nullopt, left(*state, key)};
}

// Afterwards the node holds a lease of at least that many images, or they are refused.
Result<std::optional<Refused>> Allowances::lease(Key& state, const AccessKey& key, std::uint64_t images,
                                                 const CallLimits& limits) {
  const std::int64_t today = std::chrono::floor<std::chrono::days>(clock_.wall_now()).time_since_epoch().count();
  const bool valid = clock_.mono_now() < state.lease_end && state.lease_day == today;
  if (valid && state.leased >= images) return std::nullopt;
  const auto swapped = swap(state, key, images, limits);
  if (!swapped) return fail(swapped.error());
  state.leased = swapped->granted;
  state.lease_end = clock_.mono_now() + kLeaseLife;
  state.lease_day = swapped->use.day;
  state.used_today = swapped->use.images;
  return swapped->refused;
}

namespace {

struct Taken {
  std::optional<Refused> refused;
  std::uint64_t granted = 0;
};

// Gives back what is left of the lease before, then takes so many images and some ahead.
Taken take_from(UseDocument& use, const AccessKey& key, std::uint64_t returned, std::uint64_t images, WallTime now) {
  const bool has_rate = key.images_per_second > 0, has_quota = key.images_per_day > 0;
  const std::int64_t day = std::chrono::floor<std::chrono::days>(now).time_since_epoch().count();
  use.images = day > use.day ? 0 : use.images - std::min(use.images, returned);
  use.day = std::max(use.day, day);
  use.at_ms = std::max<std::int64_t>(use.at_ms, 0);
  TokenBucket bucket(key.images_per_second, use.tokens, Time(Millis(use.at_ms)));
  // The clocks of nodes differ a little: it does not go back.
  use.at_ms = std::max<std::int64_t>(use.at_ms, now.time_since_epoch().count());
  const Time at = Millis(use.at_ms);
  if (has_rate) {
    bucket.take(0, at);
    bucket.refund(static_cast<double>(returned));
  }
  const std::uint64_t left = key.images_per_day - std::min(key.images_per_day, use.images);
  const Time wait = has_rate ? bucket.wait(static_cast<double>(images), at) : Time(0);
  Taken taken;
  if (has_quota && left < images) {
    taken.refused = Refused{.limit = Refused::Limit::quota, .retry_after = day_left(now)};
  } else if (wait > Time(0)) {
    taken.refused = Refused{.limit = Refused::Limit::rate, .retry_after = at_least_1ms(wait)};
  } else {
    double ahead = kLeaseAheadMax;
    if (has_rate) {
      ahead = std::min(key.images_per_second * kLeaseAheadSeconds, bucket.tokens() - static_cast<double>(images));
    }
    if (has_quota) ahead = std::min(ahead, static_cast<double>(std::min(left / kQuotaShare, left - images)));
    taken.granted = images + static_cast<std::uint64_t>(std::max(ahead, 0.0));
    use.images += taken.granted;
    if (has_rate) bucket.take(static_cast<double>(taken.granted), at);
  }
  use.tokens = bucket.tokens();
  return taken;
}

}  // namespace

Result<Allowances::Swap> Allowances::swap(const Key& state, const AccessKey& key, std::uint64_t images,
                                          const CallLimits& limits) {
  const ObjectKey object = use_key(key);
  for (int attempt = 0; attempt < kSwapsMax; ++attempt) {
    const auto stored = store_.get(object, kUseBytesMax, limits);
    if (!stored && stored.error().kind != ErrorKind::not_found) return fail(stored.error());
    const WallTime now = clock_.wall_now();
    const auto before = stored ? parse_use(stored->bytes) : Result<std::optional<UseDocument>>();
    if (!before) return fail(before.error());
    UseDocument use = before->value_or(
        UseDocument{.tokens = TokenBucket(key.images_per_second).capacity(), .at_ms = now.time_since_epoch().count()});
    const Taken taken = take_from(use, key, state.leased, images, now);
    PutOptions options{.only_if_absent = !stored, .content_type = "application/json"};
    if (stored) options.if_match = stored->version;
    const auto put = store_.put(object, to_json(use), options, limits);
    if (!put) return fail(put.error());
    if (*put == PutOutcome::stored) return Swap{.refused = taken.refused, .granted = taken.granted, .use = use};
  }
  return fail(ErrorKind::transient, "busy", "The count of this key's images changes all the time; try again.");
}

AllowanceLeft Allowances::left(const Key& state, const AccessKey& key) const {
  const std::uint64_t used = state.used_today - std::min(state.used_today, state.leased);
  return {.per_second = key.images_per_second,
          .images = std::max(0.0, state.bucket.tokens()),
          .per_day = key.images_per_day,
          .images_today = key.images_per_day - std::min(key.images_per_day, used),
          .day_left = std::chrono::ceil<Seconds>(day_left(clock_.wall_now()))};
}

std::optional<Refused> Allowances::known_refusal(const AccessKey& key) const {
  std::shared_ptr<Key> state;
  {
    std::lock_guard lock(mutex_);
    const auto found = keys_.find(key.id);
    if (found == keys_.end()) return std::nullopt;
    state = found->second;
  }
  const MonoTime until{MonoTime::duration(state->refused_until.load())};
  const MonoTime now = clock_.mono_now();
  if (now >= until) return std::nullopt;
  return Refused{.limit = state->refused_by, .retry_after = std::chrono::ceil<Millis>(until - now)};
}

void Allowances::keep(const std::vector<std::string>& ids) {
  std::lock_guard lock(mutex_);
  std::erase_if(keys_, [&](const auto& entry) { return !std::ranges::binary_search(ids, entry.first); });
}

}  // namespace imgrec
