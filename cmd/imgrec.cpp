#include "cmd/imgrec.hpp"

#include <unistd.h>

#include <string_view>

#include "cmd/cli/command_line.hpp"
#include "cmd/platform/platform.hpp"
#include "cmd/platform/resolve.hpp"

namespace imgrec {
namespace {

Result<void> finish_config(LoadedConfig& loaded, const Environment& environment) {
  apply_platform_defaults(loaded);
  return resolve(loaded.config, environment);
}

}  // namespace

std::vector<Command> commands(const WorkerHooks& hooks) {
  return {local_command(),
          web_command(),
          worker_command(hooks),
          controller_command(),
          classify_command(),
          bench_command(),
          model_list_command(),
          model_pull_command(),
          model_import_command(),
          model_verify_command(),
          model_show_command(),
          model_agreement_command(),
          model_add_variant_command(),
          model_tensors_command(),
          load_command(),
          simulate_command(),
          doctor_command(),
          setup_command(),
          dead_letters_list_command(),
          dead_letters_redrive_command(),
          dead_letters_drop_command(),
          deploy_command(),
          deploy_template_command(),
          deploy_status_command(),
          deploy_logs_command(),
          undeploy_command(),
          address_command(),
          user_data_worker_command(),
          bundle_upload_command(),
          key_create_command(),
          key_list_command(),
          key_revoke_command(),
          config_show_command(),
          version_command(),
          completion_command([hooks] { return commands(hooks); }),
          manual_command([hooks] { return commands(hooks); })};
}

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != text.npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

int run_imgrec(std::vector<std::string> arguments, const Environment& environment, const WorkerHooks& hooks) {
  const std::vector<Command> all = commands(hooks);
  return run_command_line({.commands = all, .finish_config = finish_config}, std::move(arguments), environment);
}

}  // namespace imgrec
