// The way in of one image: store its bytes, expect its answer, send its request. In that order, so that no worker finds
// a request without its image and no answer comes before someone waits for it.
//
// While the store or the queue fails, images wait in memory: one at a time tries again, with growing pauses, and when
// it gets through all others follow, as many at a time as the pool has threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/circuit_breaker.hpp"
#include "lib/job/job.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/upload/send_batcher.hpp"
#include "roles/web/upload/task_pool.hpp"

namespace imgrec {

struct UploadOptions {
  BackoffOptions backoff{.base = Millis(200), .max = Millis(2'000)};
  /// While the store or the queue fails for longer, images of clients that need not be held are refused; those of held
  /// ones wait until their deadline.
  Millis outage_max{3'000};
  bool fifo = false;  // group = session, deduplication = job
  Millis put_timeout{30'000}, remove_timeout{10'000}, send_timeout{10'000};
};

/// What a client is told while the store or the queue fails: transient, with the outage's code. What exactly failed is
/// for the log: it may name buckets and accounts.
Error refusal_of(const Error& outage);

/// One image on its way in. The bytes are a view into the request's body, which lives until the image is stored.
struct ImageUpload {
  JobRequest job;
  std::shared_ptr<const std::string> body;
  ByteView bytes;
  std::shared_ptr<PendingRequest> request;
  std::size_t index = 0;
  bool held = false;
};

/// Thread-safe. Whatever happens to an image is told to its request; an image whose request has ended meanwhile is not
/// sent.
class Uploader {
 public:
  struct Ports {
    ObjectStore& inputs;
    MessageQueue& requests;
    ResultRouter& router;
    TaskPool& pool;  // attempts run here
    Clock& clock;
    Rng& rng;
    std::stop_token abort{};  // requested: calls under way end
    /// Called when a job's request goes to the queue; again when that is tried again.
    std::function<void(const JobRequest&)> on_queued = [](const JobRequest&) {};
    /// Called when the image of a job is to be removed (cancel()).
    std::function<void(const JobId&)> on_cancelled = [](const JobId&) {};
    /// Called for every job whose request is in the queue.
    std::function<void(const JobRequest&)> on_sent = [](const JobRequest&) {};
  };
  Uploader(Ports ports, const UploadOptions& options);
  ~Uploader();

  /// Blocks for one attempt to store: the last image is stored by the calling thread, the others by the pool. A new
  /// image is stored under a new key, so a second attempt overwrites a first one of unknown outcome with the same
  /// bytes.
  void start(std::vector<ImageUpload> images);

  /// Removes the images of these jobs of one owner, soon: a worker that finds no image drops the request. Never blocks.
  void cancel(const std::vector<JobId>& jobs, const OwnerId& owner = {});

  /// Images that wait for the store or the queue to work again.
  std::size_t delayed() const;

  /// Why no image gets in: the store or the queue fails for longer than outage_max. Nothing while they work, and
  /// nothing when no image has been tried for a while: then it is unknown. For the operator: clients get refusal_of()
  /// it.
  std::optional<Error> outage() const;

  /// During an outage: whether one more image may come in, to find out whether it is over.
  bool wants_probe() const { return delayed() == 0; }

  /// Stores a small object and removes it. A success ends an outage of the store.
  Result<void> probe_store();

  /// When an image was stored last, and when one was sent; nothing before the first.
  std::optional<MonoTime> last_stored() const { return store_.breaker.last_success(); }
  std::optional<MonoTime> last_sent() const { return queue_.breaker.last_success(); }

  /// Call it after the pool has stopped. Ends the threads; what waits is dropped.
  void stop();

 private:
  struct Upload {
    ImageUpload image;
    bool stored = false;
  };
  using UploadPtr = std::shared_ptr<Upload>;
  struct Dependency {
    CircuitBreaker breaker;
    std::deque<UploadPtr> waiting{};  // guarded by mutex_
  };

  void cancel(const ImageUpload& image) { cancel({image.job.job}, image.job.owner); }
  void enqueue(UploadPtr upload);
  void post_runner();
  void run_ready();
  void attempt(const UploadPtr& upload);
  bool store(const UploadPtr& upload);
  CallLimits limits(Millis timeout) const { return {Deadline::in(ports_.clock, timeout), ports_.abort}; }
  void send(const UploadPtr& upload);
  void sent(const UploadPtr& upload, Result<MessageId> outcome);
  void failed(Dependency& dependency, const UploadPtr& upload, const Error& error);
  void wait_for(Dependency& dependency, const UploadPtr& upload);
  void release(Dependency& dependency);
  void remove_cancelled();
  void keep_probing(std::stop_token stop);
  MonoTime probe(Dependency& dependency, MonoTime now);
  void forget_hopeless(Dependency& dependency);
  void refuse(const UploadPtr& upload, const Error& outage);
  std::optional<Error> outage_of(const Dependency& dependency) const;

  Ports ports_;
  const UploadOptions options_;
  Dependency store_, queue_;
  mutable std::mutex mutex_;
  std::deque<UploadPtr> ready_;
  std::size_t runners_ = 0;           // tasks in the pool that take from ready_
  std::vector<ObjectKey> cancelled_;  // images to be removed
  bool removing_ = false;             // a task in the pool takes from cancelled_
  Waker waker_;
  SendBatcher batcher_;
  std::jthread prober_;
};

}  // namespace imgrec
