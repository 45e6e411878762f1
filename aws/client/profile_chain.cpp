#include "aws/client/profile_chain.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace imgrec::aws {
namespace {

using Base = decltype(ProfileChain::base);

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "bad_aws_config", std::move(message));
}

bool has_static_keys(const Properties& profile) {
  return !property(profile, "aws_access_key_id").empty() || !property(profile, "aws_secret_access_key").empty();
}

Result<Base> static_keys(const std::string& name, const Properties& profile) {
  Credentials out;
  out.access_key_id = property(profile, "aws_access_key_id");
  out.secret_access_key = Secret(property(profile, "aws_secret_access_key"));
  out.session_token = Secret(property(profile, "aws_session_token"));
  out.account_id = property(profile, "aws_account_id");
  out.source = "profile " + name;
  const std::string prefix = "The AWS profile `" + name + "` is incomplete: ";
  if (out.access_key_id.empty()) return bad(prefix + "profile missing aws_access_key_id.");
  if (out.secret_access_key.empty()) return bad(prefix + "profile missing aws_secret_access_key.");
  return Base(std::move(out));
}

Result<Base> web_identity(const std::string& name, const Properties& profile) {
  WebIdentity out{.role_arn = property(profile, "role_arn"),
                  .token_file = property(profile, "web_identity_token_file"),
                  .session_name = property(profile, "role_session_name")};
  if (out.role_arn.empty())
    return bad("The AWS profile `" + name + "` has a web_identity_token_file, but its `role_arn` was missing.");
  return Base(std::move(out));
}

// IAM Identity Center needs a person and a browser, which no role of a service has.
std::unexpected<Error> sso_unsupported(const std::string& name) {
  return fail(ErrorKind::invalid, "sso_unsupported",
              "The AWS profile `" + name +
                  "` signs in with IAM Identity Center (SSO), which is not read directly. Use a profile with "
                  "credential_process = aws configure export-credentials --profile " +
                  name + ", or export the keys into the environment.");
}

// What a profile holds itself, without assuming a role.
Result<Base> own_base(const std::string& name, const Properties& profile) {
  if (!property(profile, "web_identity_token_file").empty()) return web_identity(name, profile);
  for (const char* sso : {"sso_session", "sso_account_id", "sso_role_name", "sso_start_url"}) {
    if (!property(profile, sso).empty()) return sso_unsupported(name);
  }
  if (const std::string command = property(profile, "credential_process"); !command.empty()) {
    return Base(CredentialProcess{.command = command, .account_id = property(profile, "aws_account_id")});
  }
  if (has_static_keys(profile)) return static_keys(name, profile);
  return fail(ErrorKind::not_found, "no_profile_credentials",
              "The AWS profile `" + name + "` did not contain credential information.");
}

Result<RoleStep> role_step(const std::string& name, const Properties& profile) {
  RoleStep out{.role_arn = property(profile, "role_arn"),
               .session_name = property(profile, "role_session_name"),
               .external_id = property(profile, "external_id")};
  if (!property(profile, "mfa_serial").empty()) {
    return bad("The AWS profile `" + name +
               "` has an mfa_serial: a service cannot type a code. Use a role without MFA.");
  }
  if (const std::string duration = property(profile, "duration_seconds"); !duration.empty()) {
    const auto [end, error] = std::from_chars(duration.data(), duration.data() + duration.size(), out.duration_s);
    if (error != std::errc{} || end != duration.data() + duration.size() || out.duration_s < 900 ||
        out.duration_s > 43'200) {
      return bad("The AWS profile `" + name + "` has a duration_seconds that is no number from 900 to 43200.");
    }
  }
  return out;
}

// Follows source_profile from the selected profile to the one that holds a base.
class Resolver {
 public:
  explicit Resolver(const Profiles& profiles) : profiles_(profiles) {}

  Result<ProfileChain> resolve() {
    if (profiles_.profiles.empty()) return none("No profiles were defined.");
    std::string name = profiles_.selected;
    if (!profiles_.profiles.contains(name)) return none("The AWS profile `" + name + "` is not defined.");
    while (true) {
      const Properties& profile = profiles_.profiles.at(name);
      visited_.push_back(name);
      const bool is_source = visited_.size() > 1;
      if (property(profile, "role_arn").empty() || !property(profile, "web_identity_token_file").empty() ||
          (is_source && has_static_keys(profile))) {
        return finish(base_of(name, profile, is_source));
      }
      auto step = role_step(name, profile);
      if (!step) return fail(step.error());
      chain_.roles.push_back(*std::move(step));
      const std::string source = property(profile, "source_profile"), named = property(profile, "credential_source");
      if (!source.empty() && !named.empty()) {
        return bad("The AWS profile `" + name +
                   "` is ambiguous: profile contained both source_profile and credential_source.");
      }
      if (!named.empty()) return finish(named_source(name, named));
      if (source.empty()) {
        return bad("The AWS profile `" + name +
                   "` has a role_arn: the profile must contain `source_profile` or `credential_source` too.");
      }
      if (source == name) return finish(static_keys(name, profile));
      if (std::find(visited_.begin(), visited_.end(), source) != visited_.end()) {
        return bad("The AWS profile formed an infinite loop: `" + name + "` refers back to `" + source + "`.");
      }
      if (!profiles_.profiles.contains(source)) {
        return bad("AWS configuration: could not find source profile " + source + " referenced from " + name + ".");
      }
      name = source;
    }
  }

 private:
  static std::unexpected<Error> none(std::string message) {
    return fail(ErrorKind::not_found, "no_profile_credentials", std::move(message));
  }

  static Result<Base> base_of(const std::string& name, const Properties& profile, bool is_source) {
    if (is_source && has_static_keys(profile)) return static_keys(name, profile);
    auto base = own_base(name, profile);
    if (!base && is_source && base.error().kind == ErrorKind::not_found) return bad(base.error().message);
    return base;
  }

  static Result<Base> named_source(const std::string& profile, const std::string& name) {
    for (const char* known : {"Environment", "Ec2InstanceMetadata", "EcsContainer"}) {
      if (name == known) return Base(NamedSource{name});
    }
    return bad("The AWS profile `" + profile +
               "` has an unknown credential_source; known are Environment, Ec2InstanceMetadata and "
               "EcsContainer.");
  }

  Result<ProfileChain> finish(Result<Base> base) {
    if (!base) return fail(base.error());
    chain_.base = *std::move(base);
    std::reverse(chain_.roles.begin(), chain_.roles.end());
    return std::move(chain_);
  }

  const Profiles& profiles_;
  std::vector<std::string> visited_;
  ProfileChain chain_;
};

}  // namespace

Result<ProfileChain> resolve_profile(const Profiles& profiles) {
  return Resolver(profiles).resolve();
}

}  // namespace imgrec::aws
