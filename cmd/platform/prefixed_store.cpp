#include "cmd/platform/prefixed_store.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace imgrec {
namespace {

class PrefixedStore final : public ObjectStore {
 public:
  PrefixedStore(std::unique_ptr<ObjectStore> inner, std::string prefix)
      : inner_(std::move(inner)), prefix_(std::move(prefix)) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                         const CallLimits& limits) override {
    if (auto wrong = check(key)) return fail(*wrong);
    return inner_->put(inside(key), bytes, options, limits);
  }
  Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) override {
    if (auto wrong = check(key)) return fail(*wrong);
    return inner_->get(inside(key), bytes_max, limits);
  }
  Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits) override {
    if (auto wrong = check(key)) return fail(*wrong);
    auto info = inner_->head(inside(key), limits);
    if (info) info->key = key;
    return info;
  }
  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                        const CallLimits& limits) override {
    auto page = inner_->list(prefix_ + std::string(prefix), after.empty() ? "" : prefix_ + std::string(after),
                             objects_max, limits);
    if (!page) return page;
    for (ObjectInfo& object : page->objects) object.key = ObjectKey(object.key.str().substr(prefix_.size()));
    if (!page->next.empty()) page->next.erase(0, prefix_.size());
    return page;
  }
  Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits) override {
    std::vector<ObjectKey> all;
    for (const ObjectKey& key : keys) {
      if (auto wrong = check(key)) return fail(*wrong);
      all.push_back(inside(key));
    }
    return inner_->remove(all, limits);
  }

 private:
  // The inner store would take "/x" or "" as a part of the prefix's folder.
  static std::optional<Error> check(const ObjectKey& key) {
    if (!key.str().empty() && key.str().front() != '/') return std::nullopt;
    return Error{ErrorKind::invalid, "bad_key", "An object's key has a part that is empty."};
  }
  ObjectKey inside(const ObjectKey& key) const { return ObjectKey(prefix_ + key.str()); }

  const std::unique_ptr<ObjectStore> inner_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_prefixed_store(std::unique_ptr<ObjectStore> inner, std::string prefix) {
  return std::make_unique<PrefixedStore>(std::move(inner), std::move(prefix));
}

}  // namespace imgrec
