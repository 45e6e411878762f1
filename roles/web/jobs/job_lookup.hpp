// Finds a job for the client that asks for it: its result, or that it is under way; nothing when it is not the client's
// to ask for. And cancels it.
#pragma once

#include <optional>
#include <stop_token>

#include "lib/base/clock.hpp"
#include "lib/job/job.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/results/result_router.hpp"

namespace imgrec {

/// Who asks.
struct JobClient {
  OwnerId owner;          // roles/web/access/owner.hpp
  bool sees_all = false;  // an administrator
};

/// The stored result; nothing when there is none. Errors: as of the store, and invalid when it is no result document.
Result<std::optional<JobResult>> read_result(ObjectStore& outputs, const JobId& job, const CallLimits& limits);

/// Thread-safe. Blocks for a few calls of the stores.
class JobLookup {
 public:
  struct Ports {
    ObjectStore& inputs;
    ObjectStore& outputs;
    ResultRouter& router;
    Clock& clock;
    std::stop_token abort{};  // requested: calls under way end
  };
  explicit JobLookup(Ports ports) : ports_(std::move(ports)) {}

  struct Found {
    std::optional<JobResult> result;  // nothing: it is under way
    OwnerId owner;
  };
  /// Nothing: there is no such job, or it is another client's, which is the same to this one. Errors: as of the stores.
  Result<std::optional<Found>> find(const JobId& job, const JobClient& client);

  /// The stored result; nothing when there is none.
  Result<std::optional<JobResult>> stored_result(const JobId& job);

  /// A job with no result ends with the error `cancelled`: that is stored, its image is removed, and whoever waits for
  /// it on this node is told; on other nodes they find it in the store. Returns the result that the job has now:
  /// cancelled, or what came first.
  struct Cancellation {
    JobId job;
    OwnerId owner;
    SessionId session;  // "unknown" when it is not known
    std::string name;   // what the client called the image; empty when it is not known
  };
  Result<JobResult> cancel(const Cancellation& what);

  CallLimits limits() const;

 private:
  Result<std::optional<OwnerId>> find_image(const JobId& job, const JobClient& client);

  Ports ports_;
};

}  // namespace imgrec
