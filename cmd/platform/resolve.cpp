#include "cmd/platform/resolve.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/base/cpu.hpp"

namespace imgrec {
namespace {

std::string variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

Result<std::filesystem::path> default_state_dir(const Environment& environment) {
  if (::geteuid() == 0) return "/var/lib/imgrec";
  if (const auto data = variable(environment, "XDG_DATA_HOME"); data.starts_with("/")) {
    return std::filesystem::path(data) / "imgrec";
  }
  if (const auto home = variable(environment, "HOME"); home.starts_with("/")) {
    return std::filesystem::path(home) / ".local/share/imgrec";
  }
  return fail(ErrorKind::invalid, "no_state_dir",
              "Neither HOME nor XDG_DATA_HOME says where the state folder could be: give --state-dir PATH.");
}

// Stable across restarts and its own for each web node of a machine: two of them cannot have one port.
std::string default_node(int port) {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  std::string name;
  for (const char c : std::string_view(host).substr(0, 30)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    name += plain ? c : '-';
  }
  return (name.empty() ? "node" : name) + "-" + std::to_string(port);
}

}  // namespace

Result<void> resolve(Config& config, const Environment& environment) {
  std::filesystem::path state_dir = config.state_dir;
  if (state_dir.empty()) {
    const auto found = default_state_dir(environment);
    if (!found) return fail(found.error());
    state_dir = *found;
  }
  std::error_code error;
  const auto absolute = std::filesystem::absolute(state_dir, error);
  config.state_dir = (error ? state_dir : absolute).lexically_normal().string();
  if (config.model.dir.empty()) config.model.dir = (std::filesystem::path(config.state_dir) / "models").string();
  if (config.web.node.empty()) config.web.node = default_node(config.web.port);
  const int cores = usable_cores();
  // A minimum that was asked for beats a maximum that was not.
  if (config.controller.max == 0) {
    config.controller.max = std::max(cores, config.controller.min);
    if (config.deploy.max_workers > 0)
      config.controller.max = std::min(config.controller.max, config.deploy.max_workers);
  }
  if (config.worker.threads == 0) config.worker.threads = cores;
  if (config.classify.threads == 0) config.classify.threads = cores;
  return {};
}

Result<void> make_state_dir(const Config& config) {
  const std::filesystem::path folder = config.state_dir;
  std::error_code ignored;  // mkdir below tells what matters
  std::filesystem::create_directories(folder.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) == 0 || (errno == EEXIST && std::filesystem::is_directory(folder, ignored)))
    return {};
  const int error = errno;
  return fail(error == EACCES || error == EPERM || error == EROFS ? ErrorKind::denied : ErrorKind::transient,
              "state_dir_unusable",
              "Cannot make the state folder " + config.state_dir + ": " + std::strerror(error) +
                  ". Choose another with --state-dir.");
}

}  // namespace imgrec
