// Lists an owner's jobs, the latest first, with what became of each.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/jobs/final_states.hpp"
#include "roles/web/jobs/index_page.hpp"
#include "roles/web/jobs/job_index.hpp"
#include "roles/web/jobs/job_lookup.hpp"
#include "roles/web/jobs/queue_view.hpp"
#include "roles/web/upload/task_pool.hpp"

namespace imgrec {

struct ListedJob {
  JobId job;
  std::string name;
  JobState state = JobState::queued;
  std::optional<JobEnd> end;  // of a job that has one
};

struct JobListOptions {
  int look_ups = 8;       // calls of the store at a time, of all lists together
  int scanned_max = 500;  // jobs looked at for one page of the list
  Millis job_ttl{24 * 3'600'000};
};

/// Thread-safe; blocks for a few rounds of calls.
class JobList {
 public:
  struct Ports {
    ObjectStore& inputs;
    ObjectStore& outputs;
    JobIndex& index;
    JobLookup& lookup;
    FinalStates& ends;
    QueueView& queue;
    ResultRouter& router;
    Clock& clock;
  };
  JobList(Ports ports, const JobListOptions& options);

  struct Query {
    OwnerId owner;
    std::optional<JobState> state;
    std::size_t limit = 50;
    std::optional<JobId> before;  // only jobs that were made before this one
  };
  struct Page {
    std::vector<ListedJob> jobs;
    std::optional<JobId> next;  // `before` of the next page; nothing: this is the last
  };
  /// A page with fewer jobs than the limit, or with none, may have a next one where a state is asked for.
  Result<Page> list(const Query& query);

  /// What the client called the image of a job, as far as the index knows it.
  std::optional<std::string> find_name(const OwnerId& owner, const JobId& job);

  /// Where a job with no result is.
  QueuePlace place(const JobId& job);

 private:
  class Merge;
  Result<std::vector<ListedJob>> look_up(std::vector<IndexedJob> jobs, const OwnerId& owner);
  Result<ListedJob> look_up(const IndexedJob& job, const OwnerId& owner);
  void in_parallel(std::size_t count, const std::function<void(std::size_t)>& work);

  const Ports ports_;
  const JobListOptions options_;
  TaskPool pool_;
};

}  // namespace imgrec
