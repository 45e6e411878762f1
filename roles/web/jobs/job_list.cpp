#include "roles/web/jobs/job_list.hpp"

#include <algorithm>
#include <deque>
#include <latch>
#include <memory>
#include <set>
#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr int kPagesListed = 100;       // of one call that lists pages
constexpr std::size_t kPagesRead = 16;  // read together
constexpr std::size_t kTasksWaiting = 10'000;

struct LatestFirst {
  bool operator()(const IndexedJob& a, const IndexedJob& b) const { return a.job > b.job; }
};

}  // namespace

/// The jobs of all of an owner's pages, the latest first.
class JobList::Merge {
 public:
  Merge(JobList& list, const OwnerId& owner, const std::optional<JobId>& before)
      : list_(list), owner_(owner), before_(before) {
    // A page may hold jobs that were made up to kPageSpan before its latest.
    if (before) after_ = index_position(owner, time_of(*before) + kPageSpan + Millis(1));
    add(list.ports_.index.unwritten(owner));
  }

  /// The next `count` jobs; fewer: there are no more.
  Result<std::vector<IndexedJob>> take(std::size_t count) {
    std::vector<IndexedJob> taken;
    while (taken.size() < count) {
      if (auto read = read_until_sure(); !read) return fail(read.error());
      if (jobs_.empty()) break;
      taken.push_back(std::move(jobs_.extract(jobs_.begin()).value()));
    }
    return taken;
  }

 private:
  void add(std::vector<IndexedJob> jobs) {
    for (IndexedJob& job : jobs) {
      if (!before_ || job.job < *before_) jobs_.insert(std::move(job));
    }
  }

  // Reads pages until none that is unread can hold a later job than the first one here.
  Result<void> read_until_sure() {
    while (true) {
      if (unread_.empty() && more_) {
        if (auto listed = list_pages(); !listed) return listed;
        continue;
      }
      if (unread_.empty()) return {};
      const auto next = time_of_index_key(unread_.front());
      if (!next) return fail(next.error());
      if (!jobs_.empty() && time_of(jobs_.begin()->job) > *next) return {};
      if (auto read = read_pages(); !read) return read;
    }
  }

  Result<void> list_pages() {
    const auto page =
        list_.ports_.outputs.list(index_prefix(owner_), after_, kPagesListed, list_.ports_.lookup.limits());
    if (!page) return fail(page.error());
    for (const ObjectInfo& object : page->objects) {
      if (time_of_index_key(object.key)) unread_.push_back(object.key);
    }
    more_ = !page->next.empty();
    after_ = page->next;
    return {};
  }

  Result<void> read_pages() {
    const std::size_t count = std::min(unread_.size(), kPagesRead);
    std::vector<Result<std::vector<IndexedJob>>> pages(count);
    list_.in_parallel(count, [&](std::size_t i) {
      const auto document = list_.ports_.outputs.get(unread_[i], kPageBytesMax, list_.ports_.lookup.limits());
      if (document) {
        pages[i] = parse_index_page(document->bytes);
      } else if (document.error().kind != ErrorKind::not_found) {  // else it was removed as old
        pages[i] = fail(document.error());
      }
    });
    for (std::size_t i = 0; i < count; ++i) {
      if (!pages[i] && pages[i].error().kind != ErrorKind::invalid) return fail(pages[i].error());
      if (pages[i]) {
        add(*std::move(pages[i]));
      } else {
        log::warning("a page of jobs cannot be read", {{"key", unread_[i]}, {"error", describe(pages[i].error())}});
      }
    }
    unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(count));
    return {};
  }

  JobList& list_;
  const OwnerId owner_;
  const std::optional<JobId> before_;
  std::set<IndexedJob, LatestFirst> jobs_;  // read and not taken; a job that is on two pages is here once
  std::deque<ObjectKey> unread_;
  std::string after_;
  bool more_ = true;  // there are pages that are not listed yet
};

JobList::JobList(Ports ports, const JobListOptions& options)
    : ports_(ports), options_(options), pool_(options.look_ups, kTasksWaiting) {}

// Where the pool is full, or ends, the caller does the work itself.
void JobList::in_parallel(std::size_t count, const std::function<void(std::size_t)>& work) {
  const auto done = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const bool posted = i + 1 < count && pool_.try_post([&work, done, i] {
      work(i);
      done->count_down();
    });
    if (posted) continue;
    work(i);
    done->count_down();
  }
  done->wait();
}

QueuePlace JobList::place(const JobId& job) {
  std::optional<std::uint64_t> sent_after;
  if (ports_.router.owner_of(job)) sent_after = ports_.router.pending_after(job);
  return ports_.queue.place(job, sent_after);
}

Result<JobList::Page> JobList::list(const Query& query) {
  Page page;
  Merge merge(*this, query.owner, query.before);
  std::size_t scanned = 0;
  std::optional<JobId> last;
  while (true) {
    // One more than is wanted tells whether there is a next page.
    const std::size_t wanted = query.limit - page.jobs.size() + 1;
    auto jobs = merge.take(wanted);
    if (!jobs) return fail(jobs.error());
    const bool ended = jobs->size() < wanted;
    scanned += jobs->size();
    auto listed = look_up(*std::move(jobs), query.owner);
    if (!listed) return fail(listed.error());
    for (ListedJob& job : *listed) {
      const bool matches = !query.state || job.state == *query.state;
      if (matches && page.jobs.size() == query.limit) {
        page.next = last;
        return page;
      }
      last = job.job;
      if (matches) page.jobs.push_back(std::move(job));
    }
    if (ended) return page;
    if (scanned >= static_cast<std::size_t>(options_.scanned_max)) {
      page.next = last;
      return page;
    }
  }
}

Result<std::vector<ListedJob>> JobList::look_up(std::vector<IndexedJob> jobs, const OwnerId& owner) {
  std::vector<Result<ListedJob>> found(jobs.size());
  in_parallel(jobs.size(), [&](std::size_t i) { found[i] = look_up(jobs[i], owner); });
  std::vector<ListedJob> listed;
  for (auto& one : found) {
    if (!one) return fail(one.error());
    listed.push_back(*std::move(one));
  }
  return listed;
}

Result<ListedJob> JobList::look_up(const IndexedJob& job, const OwnerId& owner) {
  ListedJob listed{.job = job.job, .name = job.name, .end = ports_.ends.find(job.job)};
  if (!listed.end) {
    const auto result = ports_.lookup.stored_result(job.job);
    if (!result && result.error().kind != ErrorKind::invalid) return fail(result.error());
    if (result && *result) {
      ports_.ends.record(**result);
      listed.end = end_of(**result);
    }
  }
  if (listed.end) {
    listed.state = listed.end->state;
    if (!listed.end->name.empty()) listed.name = listed.end->name;
    return listed;
  }
  if (!ports_.router.owner_of(job.job)) {
    const auto image = ports_.inputs.head(input_key(job.job, owner), ports_.lookup.limits());
    if (!image && image.error().kind != ErrorKind::not_found) return fail(image.error());
    // Removed as old, or because its client left.
    const bool is_old = ports_.clock.wall_now() - time_of(job.job) > options_.job_ttl;
    if (is_old || !image) {
      listed.state = is_old ? JobState::expired : JobState::cancelled;
      return listed;
    }
  }
  listed.state = place(job.job).state;
  return listed;
}

std::optional<std::string> JobList::find_name(const OwnerId& owner, const JobId& job) {
  if (owner.empty()) return std::nullopt;
  for (const IndexedJob& one : ports_.index.unwritten(owner)) {
    if (one.job == job) return one.name;
  }
  const WallTime time = time_of(job);
  const auto pages = ports_.outputs.list(index_prefix(owner), index_position(owner, time + kPageSpan + Millis(1)),
                                         kPagesListed, ports_.lookup.limits());
  if (!pages) return std::nullopt;
  for (const ObjectInfo& page : pages->objects) {
    const auto latest = time_of_index_key(page.key);
    if (!latest || *latest < time) break;  // all further ones are older
    const auto document = ports_.outputs.get(page.key, kPageBytesMax, ports_.lookup.limits());
    const auto jobs = document ? parse_index_page(document->bytes) : Result<std::vector<IndexedJob>>();
    if (!jobs) continue;
    const auto found = std::ranges::find(*jobs, job, &IndexedJob::job);
    if (found != jobs->end()) return found->name;
  }
  return std::nullopt;
}

}  // namespace imgrec
