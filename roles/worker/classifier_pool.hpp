// As many classifiers as images are classified at a time. More jobs than that may be fetching or storing meanwhile.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

/// Thread-safe. Outlives its loans.
class ClassifierPool {
 public:
  /// At least one classifier.
  ClassifierPool(std::vector<std::unique_ptr<Classifier>> classifiers, Clock& clock);

  /// A classifier of one's own until destroyed.
  class Loan {
   public:
    Loan(ClassifierPool& pool, std::unique_ptr<Classifier> classifier);
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Classifier& operator*() const { return *classifier_; }

   private:
    ClassifierPool& pool_;
    std::unique_ptr<Classifier> classifier_;
    MonoTime since_;
  };

  /// Waits for a free one; nothing when a stop is requested first.
  std::unique_ptr<Loan> borrow(std::stop_token stop);

  const ModelInfo& model() const { return model_; }
  /// How long a loan lasted lately (a moving mean); nothing before the first ended.
  std::optional<double> mean_loan_ms() const;

 private:
  void release(std::unique_ptr<Classifier> classifier, double loan_ms);

  Clock& clock_;
  ModelInfo model_;
  mutable std::mutex mutex_;
  std::condition_variable_any returned_;
  std::vector<std::unique_ptr<Classifier>> free_;
  std::optional<double> mean_loan_ms_;
};

}  // namespace imgrec
