#include "lib/local/janitor.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr int kPage = 100;

struct Sweep {
  std::string_view prefix;
  // Objects are listed by key. Where keys are ULIDs they sort by time: the first page without an old object ends it.
  bool is_by_time = false;
  Seconds retention_min{0};
};
// What a key has used in a UTC day counts for that day, however short the retention is; a key that is in use writes it
// again each day, so that what is this old belongs to one that was revoked or is used no more.
constexpr Seconds kKeyUseRetentionMin = std::chrono::hours(7 * 24);
constexpr Sweep kPrefixes[] = {{"inputs/", true}, {"results/", true}, {"attempts/", true},
                               {"sessions/"},     {"idempotency/"},   {"access/use/", false, kKeyUseRetentionMin}};

Result<std::uint64_t> sweep_prefix(ObjectStore& store, const Sweep& sweep, WallTime limit, Millis pause, Clock& clock,
                                   std::stop_token stop) {
  std::uint64_t removed = 0;
  std::string after;
  while (!stop.stop_requested()) {
    const auto page = store.list(sweep.prefix, after, kPage, stop);
    if (!page) return fail(page.error());
    std::vector<ObjectKey> old;
    for (const ObjectInfo& object : page->objects) {
      if (object.modified_at < limit) old.push_back(object.key);
    }
    if (old.empty() && sweep.is_by_time) break;
    if (auto done = old.empty() ? Result<void>() : store.remove(old, stop); !done) return fail(done.error());
    removed += old.size();
    if (page->next.empty()) break;
    after = page->next;
    if (!clock.sleep_for(pause, stop)) break;
  }
  return removed;
}

}  // namespace

Result<std::uint64_t> sweep_old_objects(ObjectStore& store, const JanitorOptions& options, Clock& clock,
                                        std::stop_token stop) {
  std::uint64_t removed = 0;
  if (options.retention == Seconds(0)) return removed;
  const WallTime now = clock.wall_now();
  std::vector<Sweep> sweeps(std::begin(kPrefixes), std::end(kPrefixes));
  if (!options.named_prefix.empty()) sweeps.push_back({.prefix = options.named_prefix});
  for (const Sweep& sweep : sweeps) {
    const WallTime limit = now - std::max(options.retention, sweep.retention_min);
    const auto swept = sweep_prefix(store, sweep, limit, options.pause, clock, stop);
    if (!swept) return swept;
    removed += *swept;
  }
  return removed;
}

Result<std::uint64_t> sweep_unread_messages(const RemoveUnread& remove_unread, const JanitorOptions& options,
                                            Clock& clock, std::stop_token stop) {
  std::uint64_t removed = 0;
  if (options.retention == Seconds(0)) return removed;
  const WallTime limit = clock.wall_now() - options.retention;
  while (!stop.stop_requested()) {
    const auto swept = remove_unread(limit, kPage);
    if (!swept) return swept;
    removed += *swept;
    if (*swept < kPage || !clock.sleep_for(options.pause, stop)) break;
  }
  return removed;
}

void run_janitor(ObjectStore& store, const RemoveUnread& remove_unread, const JanitorOptions& options, Clock& clock,
                 std::stop_token stop) {
  if (options.retention == Seconds(0)) return;
  const Millis every = std::clamp<Millis>(options.retention / 10, Seconds(1), std::chrono::hours(1));
  const auto report = [](const char* what, const Result<std::uint64_t>& removed) {
    if (!removed && removed.error().kind == ErrorKind::cancelled) return;
    if (!removed)
      log::warning("cannot delete what is old", {{"what", what}, {"error", describe(removed.error())}});
    else if (*removed > 0)
      log::info("deleted what is old", {{"what", what}, {"count", *removed}});
  };
  do {
    report("images and results", sweep_old_objects(store, options, clock, stop));
    report("messages", sweep_unread_messages(remove_unread, options, clock, stop));
  } while (clock.sleep_for(every, stop));
}

}  // namespace imgrec
