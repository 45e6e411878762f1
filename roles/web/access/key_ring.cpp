#include "roles/web/access/key_ring.hpp"

#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {

KeyRing::KeyRing(std::unique_ptr<KeyPlace> place, Clock& clock)
    : place_(std::move(place)), outage_("reading the keys (web.keys_file)", clock) {}

Result<void> KeyRing::load(const CallLimits& limits) {
  auto done = read(limits);
  if (!done && done.error().kind == ErrorKind::not_found) {
    return fail(ErrorKind::not_found, "no_keys",
                "There are no keys in " + place_->shown() +
                    " (web.keys_file). `imgrec key create --role admin --name NAME` makes the first one.");
  }
  return done;
}

void KeyRing::refresh(const CallLimits& limits) {
  const auto done = read(limits);
  if (done) return outage_.succeeded();
  if (done.error().kind != ErrorKind::cancelled) outage_.failed(done.error());
}

Result<void> KeyRing::read(const CallLimits& limits) {
  std::lock_guard reading(reading_);
  const auto document = place_->read(limits);
  if (!document) return fail(document.error());
  if (document->version == version_ && document->bytes == bytes_) return {};
  auto list = parse_keys(document->bytes);
  if (!list) {
    return fail(ErrorKind::invalid, list.error().code,
                "In " + place_->shown() + ": " + list.error().message + " Correct it, or restore an earlier one.");
  }
  Keys keys;
  for (AccessKey& key : *list) {
    std::string id = key.id;
    keys.emplace(std::move(id), std::make_shared<const AccessKey>(std::move(key)));
  }
  log::info("keys read", {{"place", place_->shown()}, {"keys", keys.size()}});
  version_ = document->version;
  bytes_ = document->bytes;
  std::lock_guard lock(mutex_);
  keys_ = std::make_shared<const Keys>(std::move(keys));
  return {};
}

std::shared_ptr<const AccessKey> KeyRing::find(std::string_view presented) const {
  const auto id = id_of_key(presented);
  if (!id) return nullptr;
  std::shared_ptr<const Keys> keys;
  {
    std::lock_guard lock(mutex_);
    keys = keys_;
  }
  const auto found = keys->find(*id);
  return found != keys->end() && matches(*found->second, presented) ? found->second : nullptr;
}

std::vector<std::string> KeyRing::ids() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, key] : *keys_) ids.push_back(id);
  return ids;
}

}  // namespace imgrec
