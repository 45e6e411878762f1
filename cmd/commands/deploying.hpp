// What the commands of `imgrec deploy` share.
#pragma once

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/deploy/deploy_stack.hpp"
#include "cmd/cli/command.hpp"

namespace imgrec {

/// Who holds what this process begins.
aws::StackHolder this_process();
/// Whether a process of this machine runs.
bool is_running(long process);

/// --stack, or else aws.fleet.
std::string stack_of(const Invocation& call);

/// The template of the settings. Errors: as aws_buckets(), worker_user_data() and aws::render_template().
Result<std::string> stack_template(const Config& config, const aws::Session& session);

/// Where the service answers, when the stack has a web instance.
void print_address(const std::vector<std::pair<std::string, std::string>>& outputs);

/// Whether the person at the terminal says yes; without asking when `yes` is set. Errors: invalid "no_consent" where
/// standard input is no terminal; cancelled "unanswered".
Result<bool> ask(const std::string& question, bool yes, std::stop_token stop);

/// Lines to standard output, changes as a table, and questions with ask(). yes: of the command's --yes.
aws::DeployTalk deploy_talk(bool yes, std::stop_token stop);

}  // namespace imgrec
