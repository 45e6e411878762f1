#include "cmd/files/classify_pipeline.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

struct ReadFile {
  std::size_t index = 0;
  std::string bytes;
  double read_ms = 0;
};

// Outcomes come in any order and leave in the files' order.
class InOrder {
 public:
  explicit InOrder(std::size_t ahead_max) : ahead_max_(ahead_max) {}

  /// Waits until the file is near enough to the last outcome taken; false when stopped.
  bool wait_for_turn(std::size_t index, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, [&] { return index < taken_ + ahead_max_; });
  }

  void put(std::size_t index, FileOutcome outcome) {
    std::lock_guard lock(mutex_);
    ready_.emplace(index, std::move(outcome));
    changed_.notify_all();
  }

  /// The next one; nothing when stopped.
  std::optional<FileOutcome> take(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return ready_.contains(taken_); });
    if (stop.stop_requested()) return std::nullopt;
    auto node = ready_.extract(taken_++);
    changed_.notify_all();
    return std::move(node.mapped());
  }

 private:
  const std::size_t ahead_max_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::size_t, FileOutcome> ready_;
  std::size_t taken_ = 0;
};

class Pipeline {
 public:
  Pipeline(const std::vector<ImageFile>& files, const ClassifierFactory& make_classifier,
           const ClassifyOptions& options, Clock& clock)
      : files_(files),
        make_classifier_(make_classifier),
        options_(options),
        clock_(clock),
        read_(static_cast<std::size_t>(2 * options.threads)),
        in_order_(static_cast<std::size_t>(8 * options.threads)) {}

  Result<void> run(const std::function<void(const FileOutcome&)>& on_outcome, std::stop_token stop) {
    const std::stop_callback stopped(stop, [this] { ended_.request_stop(); });
    {
      std::vector<std::jthread> threads;  // joined before error_ is read
      threads.emplace_back([this] { read_files(); });
      for (int i = 0; i < options_.threads; ++i) threads.emplace_back([this] { classify(); });
      for (std::size_t i = 0; i < files_.size(); ++i) {
        auto outcome = in_order_.take(ended_.get_token());
        if (!outcome) break;
        on_outcome(*outcome);
      }
      ended_.request_stop();
    }
    if (error_) return fail(*error_);
    return {};
  }

 private:
  void read_files() {
    const std::stop_token stop = ended_.get_token();
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (!in_order_.wait_for_turn(i, stop)) return;
      const ImageFile& file = files_[i];
      if (file.unreadable) {
        in_order_.put(i, {file.path, fail(*file.unreadable), 0});
        continue;
      }
      const MonoTime begin = clock_.mono_now();
      auto bytes = read_file(file.path == "-" ? "/dev/stdin" : file.path, options_.file_bytes_max, stop);
      const double read_ms = elapsed_ms(begin, clock_.mono_now());
      if (stop.stop_requested()) return;
      if (!bytes)
        in_order_.put(i, {file.path, fail(bytes.error()), read_ms});
      else if (!read_.push({i, std::move(*bytes), read_ms}, stop))
        return;
    }
    read_.close();
  }

  void classify() {
    auto classifier = make_classifier_();
    if (!classifier) {
      std::lock_guard lock(error_mutex_);
      if (!error_) error_ = classifier.error();
      ended_.request_stop();
      return;
    }
    while (auto file = read_.pop(ended_.get_token())) {
      auto classification = (*classifier)->classify(file->bytes, options_.top_k);
      in_order_.put(file->index, {files_[file->index].path, std::move(classification), file->read_ms});
    }
  }

  const std::vector<ImageFile>& files_;
  const ClassifierFactory& make_classifier_;
  const ClassifyOptions& options_;
  Clock& clock_;
  std::stop_source ended_;
  BoundedQueue<ReadFile> read_;
  InOrder in_order_;
  std::mutex error_mutex_;
  std::optional<Error> error_;
};

}  // namespace

Result<void> classify_files(const std::vector<ImageFile>& files, const ClassifierFactory& make_classifier,
                            const ClassifyOptions& options, Clock& clock,
                            const std::function<void(const FileOutcome&)>& on_outcome, std::stop_token stop) {
  ClassifyOptions fitting = options;
  fitting.threads = std::clamp<int>(options.threads, 1, static_cast<int>(std::max<std::size_t>(1, files.size())));
  return Pipeline(files, make_classifier, fitting, clock).run(on_outcome, stop);
}

}  // namespace imgrec
