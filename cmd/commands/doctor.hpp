// imgrec doctor: what is checked, and what to do about what is wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/load.hpp"

namespace imgrec {

enum class CheckStatus {
  ok,
  warning,  // it works, but look at it
  failed,   // it will not work
  skipped,  // could not be asked; the detail says why
};
std::string_view to_string(CheckStatus status);

struct Check {
  std::string name;  // "queue imgrec-requests"
  CheckStatus status = CheckStatus::ok;
  std::string detail;  // what was found
  std::string fix;     // what to do; empty when nothing is wrong
};

/// Whose work is checked: each role needs only a part, and may do only that.
struct DoctorScope {
  bool sends = true;     // web: stores images
  bool works = true;     // worker: stores results
  bool launches = true;  // controller: instances, and the bundle that they install
  bool serves = true;    // web: the port
  bool deploys = false;  // deployer: rights, before anything is there
};
/// "all", "web", "worker", "controller", "deployer". Errors: invalid "bad_role".
Result<DoctorScope> parse_doctor_scope(const std::string& role);

/// Each asks further where an earlier answer does not make that senseless. Nothing stays behind but, where it may not
/// be deleted again, one small object per bucket.
std::vector<Check> check_local(const LoadedConfig& loaded, const DoctorScope& scope);
std::vector<Check> check_aws(const LoadedConfig& loaded, const DoctorScope& scope);

/// Whether the web role could listen.
Check check_port(const Config& config);

/// The model's files in this machine's model folder, read again; the model is loaded and run once, as workers do it.
Check check_model(const Config& config);

Check passed(std::string name, std::string detail);
Check failed(std::string name, const Error& error, std::string fix);
/// Of a call over the network: what may pass by itself is to be tried again, whatever fix says.
Check call_failed(std::string name, const Error& error, std::string fix);

}  // namespace imgrec
