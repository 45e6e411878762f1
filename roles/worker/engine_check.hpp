// Whether this process's engine can be trusted: with its verdict on an image, or with another image at all.
#pragma once

#include <mutex>

#include "lib/ports/classifier.hpp"

namespace imgrec {

/// classify() with the engine's failures as errors: exceptions, no labels and scores that are no numbers are
/// ErrorKind::bug. Errors of the image stay ErrorKind::invalid.
Result<Classification> classify_guarded(Classifier& classifier, ByteView image, int top_k);

/// thumbnail() with exceptions as ErrorKind::bug.
Result<std::string> thumbnail_guarded(Classifier& classifier, ByteView image, int side);

/// Thread-safe; the classifiers passed in are the caller's own.
class EngineCheck {
 public:
  /// failures_max: failures on images, without a success between them, after which the engine is given up.
  explicit EngineCheck(int failures_max) : failures_max_(failures_max) {}

  /// Classifies a small built-in image, the whole way from decoding to labels, unless this process did so before.
  /// Errors: ErrorKind::bug "engine_failed". A build or a machine that dies on every image dies here.
  Result<void> prove(Classifier& classifier);

  /// An image was classified, or found to be at fault.
  void succeeded();

  /// The engine failed on an image. Returns an error, bug "engine_failed", when it fails on the built-in image too, or
  /// has failed too often: the process should end.
  Result<void> failed(Classifier& classifier, const Error& error);

 private:
  Result<void> classify_built_in(Classifier& classifier);

  const int failures_max_;
  std::mutex mutex_;
  bool proven_ = false;
  int failures_ = 0;  // without a success since
};

}  // namespace imgrec
