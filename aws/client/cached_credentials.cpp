#include "aws/client/credentials.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {

bool CachedCredentials::is_due() const {
  if (renewing_ || clock_.mono_now() < not_before_) return false;
  return refused_ || (credentials_->expires_at && clock_.wall_now() + kRenewBefore >= *credentials_->expires_at);
}

Result<Credentials> CachedCredentials::renew(std::unique_lock<std::mutex>& lock, std::stop_token stop) {
  renewing_ = true;
  lock.unlock();
  auto loaded = source_->load(stop);
  lock.lock();
  renewing_ = false;
  changed_.notify_all();
  if (loaded) {
    credentials_ = *loaded;
    refused_ = false;
    // However soon these expire, the source is not asked without pause.
    not_before_ = clock_.mono_now() + kTryAgainExpired;
    return loaded;
  }
  if (!credentials_) first_error_ = loaded.error();
  if (!credentials_ || stop.stop_requested()) return loaded;
  const bool expired = refused_ || (credentials_->expires_at && clock_.wall_now() >= *credentials_->expires_at);
  not_before_ = clock_.mono_now() + (expired ? kTryAgainExpired : kTryAgain);
  log::warning(expired ? "AWS credentials expired and cannot be renewed; the old ones are kept"
                       : "AWS credentials cannot be renewed yet; the old ones are kept",
               {{"source", credentials_->source}, {"code", loaded.error().code}, {"reason", loaded.error().message}});
  return *credentials_;
}

Result<Credentials> CachedCredentials::get(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  // The very first time there is nothing to go on with: the others wait for the one that asks, and share its answer.
  if (!credentials_) {
    if (!renewing_) return renew(lock, stop);
    if (!changed_.wait(lock, stop, [&] { return !renewing_; })) {
      return fail(ErrorKind::cancelled, "cancelled", "Waiting for AWS credentials was stopped.");
    }
    if (!credentials_) return fail(*first_error_);
  }
  if (is_due()) return renew(lock, stop);
  return *credentials_;
}

void CachedCredentials::invalidate(const Credentials& used) {
  std::lock_guard lock(mutex_);
  if (credentials_ && credentials_->access_key_id == used.access_key_id &&
      credentials_->session_token.reveal() == used.session_token.reveal()) {
    refused_ = true;
  }
}

}  // namespace imgrec::aws
