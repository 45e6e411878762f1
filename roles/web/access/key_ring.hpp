// The keys that a web node believes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "roles/web/access/key_place.hpp"
#include "roles/web/access/keys.hpp"

namespace imgrec {

/// Thread-safe. find() never blocks; load() and refresh() read the document.
class KeyRing {
 public:
  KeyRing(std::unique_ptr<KeyPlace> place, Clock& clock);

  /// Before the service starts. Errors: not_found "no_keys", invalid "bad_keys", else as of the place.
  Result<void> load(const CallLimits& limits);

  /// Every few seconds. A document that cannot be read, or is wrong, is logged once, and the keys stay as they were.
  void refresh(const CallLimits& limits);

  /// Null when it is no key, is unknown or was revoked. The time it takes tells only whether there is a key of that id,
  /// which is no secret.
  std::shared_ptr<const AccessKey> find(std::string_view presented) const;

  std::vector<std::string> ids() const;

 private:
  using Keys = std::map<std::string, std::shared_ptr<const AccessKey>, std::less<>>;
  Result<void> read(const CallLimits& limits);

  const std::unique_ptr<KeyPlace> place_;
  OutageLog outage_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Keys> keys_ = std::make_shared<Keys>();
  std::mutex reading_;
  std::string version_, bytes_;  // of the document in keys_
};

}  // namespace imgrec
