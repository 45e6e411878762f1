// The way in of one image: store its bytes, expect its answer, send its request. In that order, so that no worker finds
// a request without its image and no answer comes before someone waits for it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lib/base/backoff.hpp"
#include "lib/job/job.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/result_router.hpp"
#include "roles/web/send_batcher.hpp"

namespace imgrec {

struct UploadOptions {
  std::size_t pending_jobs_max = 10'000;  // beyond it images wait outside (held clients) or are refused (others)
  int tries_max = 3;  // for a client that is not held; a held one's image is tried until its deadline
  BackoffOptions backoff{.base = Millis(200), .max = Millis(5'000)};
  bool fifo = false;  // group = session, deduplication = job
};

/// One image on its way in. The bytes are a view into the request's body, which lives until the image is stored.
struct ImageUpload {
  JobRequest job;
  std::shared_ptr<const std::string> body;
  ByteView bytes;
  std::shared_ptr<PendingRequest> request;
  std::size_t index = 0;
  bool held = false;
};

/// Thread-safe. What fails for a while is tried again with growing pauses, in a thread of its own; whatever happens to
/// an image is told to its request.
class Uploader {
 public:
  struct Ports {
    ObjectStore& inputs;
    MessageQueue& requests;
    ResultRouter& router;
    Clock& clock;
    Rng& rng;
  };
  Uploader(Ports ports, const UploadOptions& options);
  ~Uploader();

  /// Blocks for one attempt to store. A new image is stored under a new key, so a second attempt overwrites a first one
  /// of unknown outcome with the same bytes.
  void start(ImageUpload upload);

  /// Images that wait for another attempt.
  std::size_t delayed() const;

  void stop();

 private:
  struct Way {
    ImageUpload upload;
    Backoff backoff;
    int failures = 0;
    bool stored = false;
  };
  void advance(std::shared_ptr<Way> way);
  void send(std::shared_ptr<Way> way);
  void try_later(std::shared_ptr<Way> way, const Error& error);
  void retry(std::stop_token stop);
  Result<void> store(Way& way);

  Ports ports_;
  const UploadOptions options_;
  mutable std::mutex mutex_;
  std::multimap<MonoTime, std::shared_ptr<Way>> delayed_;
  Waker waker_;
  SendBatcher batcher_;
  std::jthread retry_thread_;
};

}  // namespace imgrec
