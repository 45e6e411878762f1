// Where credentials come from, in AWS's order: environment, profile (static keys, process, web identity, roles assumed
// one after the other), web identity of the environment, container (ECS, EKS), instance metadata (IMDSv2).
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "aws/client/call.hpp"
#include "aws/client/imds.hpp"
#include "aws/client/profile_chain.hpp"
#include "aws/client/sts.hpp"

namespace imgrec::aws {

struct ProcessOutput {
  int exit_code = 0;
  std::string output;
};
/// Runs a shell command and collects what it prints; bounded in time and size.
using ProcessRunner = std::function<Result<ProcessOutput>(const std::string& command)>;

/// The outer world of the chain; what is referred to outlives it.
struct CredentialWorld {
  Environment environment;
  FileReader read;
  ProcessRunner run;
  HttpClient& http;
  Clock& clock;
  Rng& rng;
};

/// The container's address for credentials; nothing when the environment names none. Plain http is allowed only to this
/// machine and to the addresses of ECS and EKS. Errors: invalid "bad_container_uri".
Result<std::optional<std::string>> container_credentials_url(const Environment& environment);

class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  virtual Result<Credentials> load(std::stop_token stop) = 0;
};

/// One thread at a time.
class CredentialChain final : public CredentialSource {
 public:
  explicit CredentialChain(CredentialWorld world) : world_(std::move(world)) {}
  /// Files are read anew each time. A source that is configured but fails ends the search: credentials other than those
  /// meant are worse than none. Errors: denied "no_credentials" naming what was looked at; else as the source's.
  Result<Credentials> load(std::stop_token stop) override;

 private:
  using Found = Result<std::optional<Credentials>>;  // nothing: not configured, look further

  Found from_profile(const Profiles& profiles, const EndpointSettings& endpoints, std::stop_token stop);
  Found from_web_identity(const EndpointSettings& endpoints, std::stop_token stop);
  Found from_container(std::stop_token stop);
  Found from_instance(const Profiles& profiles, std::stop_token stop, std::string& why_not);
  Result<Credentials> base_credentials(const ProfileChain& chain, const Profiles& profiles, const StsContext& sts,
                                       std::stop_token stop);
  Result<Credentials> named_source(const std::string& name, const Profiles& profiles, std::stop_token stop);
  Result<Credentials> web_identity(const WebIdentity& identity, const StsContext& sts, std::stop_token stop);
  Result<Credentials> run_process(const CredentialProcess& process);
  Result<HttpHeaders> container_headers() const;
  StsContext sts_context(const EndpointSettings& endpoints) {
    return {endpoints, world_.http, world_.clock, world_.rng};
  }

  CredentialWorld world_;
  std::unique_ptr<Imds> imds_;
  std::string imds_url_;
};

/// Keeps what a source gave and renews it in good time. Thread-safe: while one thread renews, the others go on with
/// what there is. While the source is down, expired credentials are kept with a warning: AWS may still take them (a
/// metadata service that fails extends them), and a refusal says more than "no credentials".
class CachedCredentials final : public CredentialsProvider {
 public:
  static constexpr Millis kRenewBefore{600'000};
  static constexpr Millis kTryAgain{60'000};         // after a failed renewal
  static constexpr Millis kTryAgainExpired{10'000};  // the same, when they have expired already

  CachedCredentials(std::unique_ptr<CredentialSource> source, Clock& clock)
      : source_(std::move(source)), clock_(clock) {}
  Result<Credentials> get(std::stop_token stop) override;
  void invalidate(const Credentials& used) override;

 private:
  bool is_due() const;
  Result<Credentials> renew(std::unique_lock<std::mutex>& lock, std::stop_token stop);

  const std::unique_ptr<CredentialSource> source_;
  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Credentials> credentials_;
  std::optional<Error> first_error_;  // of a load that others waited for, while there are none
  bool renewing_ = false;
  bool refused_ = false;   // AWS did not take them
  MonoTime not_before_{};  // the next try
};

}  // namespace imgrec::aws
