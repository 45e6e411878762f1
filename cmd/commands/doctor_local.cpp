// What `imgrec local` needs of its machine.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cmd/cli/terminal.hpp"
#include "cmd/commands/doctor.hpp"
#include "cmd/commands/serving.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/file.hpp"
#include "lib/http/client/curl_client.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kFreeBytesLow = 1024 * kMiB;
constexpr std::uint64_t kFreeBytesMin = 100 * kMiB;
constexpr Millis kAskTimeout{3'000};

Check check_state_folder(const Config& config) {
  const std::string fix = "Give your user the folder, or choose another with --state-dir.";
  if (auto made = make_state_dir(config); !made) return failed("state folder", made.error(), fix);
  const auto probe = std::filesystem::path(config.state_dir) / ".imgrec-doctor";
  const auto written = write_file_atomic(probe, "probe", WriteMode::replace);
  if (!written) return failed("state folder", written.error(), fix);
  std::error_code ignored;
  std::filesystem::remove(probe, ignored);
  return passed("state folder", config.state_dir + " can be written");
}

Check check_disk(const Config& config) {
  struct statvfs space = {};
  if (::statvfs(config.state_dir.c_str(), &space) != 0) {
    return {.name = "disk space", .status = CheckStatus::skipped, .detail = std::strerror(errno), .fix = {}};
  }
  const std::uint64_t bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  Check check = passed("disk space", readable_bytes(static_cast<double>(bytes)) + " free in " + config.state_dir);
  if (bytes >= kFreeBytesLow) return check;
  check.status = bytes < kFreeBytesMin ? CheckStatus::failed : CheckStatus::warning;
  check.fix = "Free some space, choose another --state-dir, or keep images for a shorter time (--retention).";
  return check;
}

int try_to_listen(const Config& config) {
  const bool is_v6 = config.web.bind.find(':') != std::string::npos;
  sockaddr_in6 v6 = {};
  sockaddr_in v4 = {};
  v6.sin6_family = AF_INET6;
  v4.sin_family = AF_INET;
  v6.sin6_port = v4.sin_port = htons(static_cast<std::uint16_t>(config.web.port));
  void* const address = is_v6 ? static_cast<void*>(&v6.sin6_addr) : static_cast<void*>(&v4.sin_addr);
  if (::inet_pton(is_v6 ? AF_INET6 : AF_INET, config.web.bind.c_str(), address) != 1) return EINVAL;
  const Fd listener(::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.ok()) return errno;
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int bound = is_v6 ? ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
                          : ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  return bound == 0 && ::listen(listener.get(), 1) == 0 ? 0 : errno;
}

// Whoever listens there is a web node when it has a web node's metrics.
bool is_served_by_imgrec(const Config& config) {
  HttpClientRequest request;
  request.url = web_address(config, config.web.port) + "metrics";
  request.timeout = request.connect_timeout = kAskTimeout;
  const auto answer = make_curl_client({.user_agent = "imgrec"})->send(request, {});
  return answer && answer->status == 200 && answer->body.find("imgrec_web_") != std::string::npos;
}

}  // namespace

Check check_port(const Config& config) {
  const std::string name = "port " + std::to_string(config.web.port);
  const int error = try_to_listen(config);
  if (error == 0) return passed(name, "free on " + config.web.bind);
  if (error == EADDRINUSE && is_served_by_imgrec(config)) {
    return passed(name, "the service runs there: " + web_address(config, config.web.port));
  }
  std::string fix = "Choose another address with --bind.";
  if (error == EADDRINUSE) {
    fix = "Another program listens there: end it, or choose another --port.";
  } else if (error == EACCES) {
    fix = "Ports below 1024 are root's: choose another --port.";
  }
  return failed(name,
                {ErrorKind::denied, "port_unusable",
                 "Cannot listen on " + config.web.bind + ": " + std::string(std::strerror(error)) + "."},
                std::move(fix));
}

std::vector<Check> check_local(const LoadedConfig& loaded, const DoctorScope& scope) {
  const Config& config = loaded.config;
  std::vector<Check> checks = {check_state_folder(config)};
  if (checks.front().status == CheckStatus::ok) checks.push_back(check_disk(config));
  if (scope.works || scope.launches) checks.push_back(check_model(config));
  if (scope.serves) checks.push_back(check_port(config));
  Check workers = passed(
      "workers", std::to_string(config.controller.max) + " at most, on " + std::to_string(usable_cores()) + " cores");
  if (config.controller.max > usable_cores()) {
    workers.status = CheckStatus::warning;
    workers.fix = "More workers than cores only wait for each other: lower --max-workers.";
  }
  checks.push_back(workers);
  return checks;
}

}  // namespace imgrec
