#include "tests/support/memory_store.hpp"

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec::test {
namespace {

Result<void> check_key(const ObjectKey& key) {
  const auto bad = [] { return fail(ErrorKind::invalid, "bad_key", "This is no name of an object."); };
  const std::string& text = key.str();
  if (text.empty() || text.size() > 1024 || !is_valid_utf8(text)) return bad();
  for (const std::string_view part : split(text, '/')) {
    if (part.empty() || part == "." || part == "..") return bad();
  }
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::ranges::any_of(text, is_control)) return bad();
  return {};
}

std::unexpected<Error> no_such_object(const ObjectKey& key) {
  return fail(ErrorKind::not_found, "no_such_object", "There is no object " + key.str() + ".");
}

}  // namespace

Result<PutOutcome> MemoryStore::put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                    const CallLimits& limits) {
  if (auto error = faults.enter(StoreCall::put, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto checked = check_key(key); !checked) return fail(checked.error());
  std::lock_guard lock(mutex_);
  if (options.only_if_absent && objects_.contains(key.str())) {
    if (auto error = faults.leave(StoreCall::put)) return fail(*std::move(error));
    return PutOutcome::already_there;
  }
  const auto found = objects_.find(key.str());
  if (options.if_match && (found == objects_.end() || found->second.version != *options.if_match)) {
    if (auto error = faults.leave(StoreCall::put)) return fail(*std::move(error));
    return PutOutcome::changed;
  }
  std::uint64_t total = bytes.size();
  for (const auto& [name, object] : objects_) total += name == key.str() ? 0 : object.bytes.size();
  if (total > bytes_max_) return fail(ErrorKind::transient, "disk_full", "The store is full: remove objects.");
  objects_[key.str()] = {std::string(bytes), clock_.wall_now(), "v" + std::to_string(++puts_)};
  ++writes_[key.str()];
  if (auto error = faults.leave(StoreCall::put)) return fail(*std::move(error));
  return PutOutcome::stored;
}

Result<StoredObject> MemoryStore::get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) {
  if (auto error = faults.enter(StoreCall::get, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto checked = check_key(key); !checked) return fail(checked.error());
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.str());
  if (found == objects_.end()) return no_such_object(key);
  if (found->second.bytes.size() > bytes_max) {
    return fail(ErrorKind::invalid, "object_too_large", "The object has more bytes than allowed.");
  }
  if (auto error = faults.leave(StoreCall::get)) return fail(*std::move(error));
  return StoredObject{found->second.bytes, found->second.version};
}

Result<ObjectInfo> MemoryStore::head(const ObjectKey& key, const CallLimits& limits) {
  if (auto error = faults.enter(StoreCall::head, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto checked = check_key(key); !checked) return fail(checked.error());
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.str());
  if (found == objects_.end()) return no_such_object(key);
  return ObjectInfo{key, found->second.bytes.size(), found->second.modified_at, found->second.version};
}

Result<ListPage> MemoryStore::list(std::string_view prefix, std::string_view after, int objects_max,
                                   const CallLimits& limits) {
  if (auto error = faults.enter(StoreCall::list, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (objects_max < 1 || objects_max > 1000)
    return fail(ErrorKind::invalid, "bad_page", "A page has 1 to 1000 objects.");
  std::lock_guard lock(mutex_);
  ListPage page;
  for (const auto& [name, object] : objects_) {
    if (!std::string_view(name).starts_with(prefix) || std::string_view(name) <= after) continue;
    if (page.objects.size() == static_cast<std::size_t>(objects_max)) {
      page.next = page.objects.back().key.str();
      break;
    }
    page.objects.push_back({ObjectKey(name), object.bytes.size(), object.modified_at, object.version});
  }
  return page;
}

Result<void> MemoryStore::remove(std::span<const ObjectKey> keys, const CallLimits& limits) {
  if (auto error = faults.enter(StoreCall::remove, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (keys.size() > 1000) return fail(ErrorKind::invalid, "bad_batch", "A call removes at most 1000 objects.");
  Result<void> outcome;
  std::lock_guard lock(mutex_);
  for (const ObjectKey& key : keys) {
    auto checked = check_key(key);
    if (auto error = faults.element(StoreCall::remove)) checked = fail(*std::move(error));
    if (checked) {
      objects_.erase(key.str());
    } else if (outcome) {
      outcome = checked;
    }
  }
  return outcome;
}

void MemoryStore::set_capacity(std::uint64_t bytes_max) {
  std::lock_guard lock(mutex_);
  bytes_max_ = bytes_max;
}

std::vector<ObjectKey> MemoryStore::keys() const {
  std::lock_guard lock(mutex_);
  std::vector<ObjectKey> keys;
  for (const auto& [name, object] : objects_) keys.emplace_back(name);
  return keys;
}

int MemoryStore::writes(const ObjectKey& key) const {
  std::lock_guard lock(mutex_);
  const auto found = writes_.find(key.str());
  return found == writes_.end() ? 0 : found->second;
}

}  // namespace imgrec::test
