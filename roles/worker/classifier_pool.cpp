#include "roles/worker/classifier_pool.hpp"

#include <utility>

namespace imgrec {

ClassifierPool::ClassifierPool(std::vector<std::unique_ptr<Classifier>> classifiers, Clock& clock)
    : clock_(clock), model_(classifiers.at(0)->model()), free_(std::move(classifiers)) {}

ClassifierPool::Loan::Loan(ClassifierPool& pool, std::unique_ptr<Classifier> classifier)
    : pool_(pool), classifier_(std::move(classifier)), since_(pool.clock_.mono_now()) {}

ClassifierPool::Loan::~Loan() {
  pool_.release(std::move(classifier_), elapsed_ms(since_, pool_.clock_.mono_now()));
}

std::unique_ptr<ClassifierPool::Loan> ClassifierPool::borrow(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, stop, [&] { return !free_.empty(); });
  if (free_.empty() || stop.stop_requested()) return nullptr;
  std::unique_ptr<Classifier> classifier = std::move(free_.back());
  free_.pop_back();
  return std::make_unique<Loan>(*this, std::move(classifier));
}

void ClassifierPool::release(std::unique_ptr<Classifier> classifier, double loan_ms) {
  constexpr double kNewest = 0.2;  // weight of the latest loan in the mean
  std::lock_guard lock(mutex_);
  mean_loan_ms_ = mean_loan_ms_ ? (1 - kNewest) * *mean_loan_ms_ + kNewest * loan_ms : loan_ms;
  free_.push_back(std::move(classifier));
  returned_.notify_one();
}

std::optional<double> ClassifierPool::mean_loan_ms() const {
  std::lock_guard lock(mutex_);
  return mean_loan_ms_;
}

}  // namespace imgrec
