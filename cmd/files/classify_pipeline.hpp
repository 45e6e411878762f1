// Many files through many classifiers, answers in the order of the files: one thread reads ahead while others classify.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "cmd/files/image_files.hpp"
#include "lib/base/clock.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

struct FileOutcome {
  std::string path;
  Result<Classification> classification;
  double read_ms = 0;
};

struct ClassifyOptions {
  int threads = 1;  // a classifier each
  int top_k = 5;
  std::uint64_t file_bytes_max = 0;
};

/// Calls on_outcome for each file, in order, from the calling thread. At most 2·threads files are held unread by a
/// classifier, and no thread is more than 8·threads files ahead of the last outcome. Ends early when a stop is
/// requested. Errors: a classifier cannot be made.
Result<void> classify_files(const std::vector<ImageFile>& files, const ClassifierFactory& make_classifier,
                            const ClassifyOptions& options, Clock& clock,
                            const std::function<void(const FileOutcome&)>& on_outcome, std::stop_token stop);

}  // namespace imgrec
