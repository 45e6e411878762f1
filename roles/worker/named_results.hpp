// Stores what result_layout.hpp describes, beside the result document.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "lib/ports/object_store.hpp"
#include "roles/worker/dependency.hpp"
#include "roles/worker/result_layout.hpp"

namespace imgrec {

/// Not thread-safe: belongs to one job. Calls block during an outage as Dependency says.
class NamedResults {
 public:
  struct Ports {
    ObjectStore& outputs;
    Dependency& storing;
    Dependency& reading;
  };
  NamedResults(const Ports& ports, const ResultsConfig& results) : ports_(ports), results_(results) {}

  /// False when there is nothing to store for such a result: the layout is json, or the result has no labels.
  bool wants(const JobResult& result) const { return has_named_results(results_) && !result.error; }
  bool wants_image() const { return copies_image(results_); }

  /// `image`: the bytes of the image when wants_image(). Storing the same again changes nothing. Errors: those of an
  /// outage. What would not succeed later either is logged, and the job goes on: its document is stored.
  Result<void> store(const JobRequest& request, const JobResult& result, ByteView image, const std::stop_token& stop);

 private:
  Result<bool> is_there(const ObjectKey& key, ByteView bytes, const std::stop_token& stop);

  const Ports ports_;
  const ResultsConfig& results_;
};

}  // namespace imgrec
