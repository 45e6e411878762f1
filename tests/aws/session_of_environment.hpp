// The session that this process's environment describes: for programs that talk to a server of a test, or to AWS.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "aws/client/session.hpp"
#include "lib/base/environment.hpp"

namespace imgrec::aws::test {

/// Ends the process with what is wrong, when there is none.
inline std::unique_ptr<Session> session_of_environment() {
  Environment environment;
  for (const std::string& variable : environment_of_this_process()) {
    const std::size_t equals = variable.find('=');
    environment[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  SessionConfig config;
  config.user_agent = "imgrec-test";
  auto session = open_session(environment, config, system_clock(), system_rng());
  if (session) return *std::move(session);
  std::fprintf(stderr, "%s\n", describe(session.error()).c_str());
  std::exit(1);
}

}  // namespace imgrec::aws::test
