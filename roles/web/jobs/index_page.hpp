// The pages in which a client's jobs are listed: objects of the result store, "sessions/OWNER/<time>-<nonce>.json".
//
// A page names jobs that one web node queued within kPageSpan, and its key begins with the time of the latest of them,
// inverted: so the store lists an owner's pages latest first. Pages are written once and never changed, so nodes need
// not agree on anything. Pages of several nodes overlap in time; who reads them in the order of their keys knows that
// all further jobs are no later than the next key says.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/job/job.hpp"

namespace imgrec {

struct IndexedJob {
  JobId job;
  std::string name;  // at most kIndexedNameMax bytes of what the client called it
};

constexpr std::size_t kIndexedNameMax = 1'024;
constexpr std::size_t kPageJobsMax = 100;
constexpr Millis kPageSpan{1'000};
constexpr std::uint64_t kPageBytesMax = kMiB;  // 100 names whose every byte has to be escaped are below it

std::string index_prefix(const OwnerId& owner);
/// latest: the time of the latest job on the page.
ObjectKey index_key(const OwnerId& owner, WallTime latest, std::string_view nonce);
/// What is before it in the store's order: pages whose latest job is later than `time`.
std::string index_position(const OwnerId& owner, WallTime time);
/// The time in a key; invalid "bad_index_key" where there is none.
Result<WallTime> time_of_index_key(const ObjectKey& key);

std::string to_json(const std::vector<IndexedJob>& page);
/// Errors: invalid "bad_index_page"; transient "other_version" (lib/job/other_version.hpp).
Result<std::vector<IndexedJob>> parse_index_page(std::string_view json);

}  // namespace imgrec
