// A store of named objects, with the semantics of one Amazon S3 bucket.
//
// Atomic    a reader sees a whole object or none. Durable: what put() accepted survives a crash and a power cut.
// Threads   safe; calls block, at most until their limits (deadline and stop) or the adapter's own. After a deadline or
//           a stop a put or remove may have happened or not.
// Versions  of an object are opaque and change when other bytes are put; where the version is S3's ETag the same bytes
//           may have the same version. Whoever swaps an object back and forth puts a counter or a nonce into it.
// Keys      1 to 1024 bytes of valid UTF-8, "/" between parts; no part is empty, "." or ".."; no control characters.
//           Anything else is invalid "bad_key". Keys never come from a client's file name.
// Failure   belongs to the caller: nothing is retried here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct PutOptions {
  bool only_if_absent = false;
  /// Puts only if the object has this version (of get, head or list); not together with only_if_absent.
  std::optional<std::string> if_match{};
  std::string content_type = "application/octet-stream";  // a store may ignore it
  /// Of the bytes, in hex, where the caller knows it already; a store that needs it takes it from here.
  std::string sha256{};
};

enum class PutOutcome {
  stored,
  already_there,  // only_if_absent: there was one
  changed,        // if_match: the object has another version, or is gone
};

/// The bytes of an object, and their version.
struct StoredObject {
  std::string bytes;
  std::string version;
};

struct ObjectInfo {
  ObjectKey key;
  std::uint64_t bytes = 0;
  WallTime modified_at{};
  std::string version;
};

struct ListPage {
  std::vector<ObjectInfo> objects;  // in byte order of their keys
  std::string next;                 // pass it as `after` for the next page; empty: this is the last
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// With only_if_absent an existing object stays as it is: already_there. With if_match so does one of another
  /// version: changed. A caller whose put had an unknown end (a lost answer that was tried again, too) reads the object
  /// to learn whose it is. Errors: invalid "bad_key", transient "disk_full", else as the transport's.
  virtual Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                                 const CallLimits& limits = {}) = 0;

  /// Errors: not_found "no_such_object"; invalid "object_too_large" when it has more than bytes_max (it is not read).
  virtual Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits = {}) = 0;

  /// not_found "no_such_object" when it is not there.
  virtual Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits = {}) = 0;

  /// Objects whose key begins with prefix and is greater than `after`; at most objects_max (1 to 1000).
  virtual Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                                const CallLimits& limits = {}) = 0;

  /// Removing what is not there succeeds. At most 1000 keys; the first error is returned, the others are removed.
  virtual Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits = {}) = 0;
};

}  // namespace imgrec
