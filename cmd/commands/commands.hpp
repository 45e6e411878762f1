// The commands: each file here exports its own, with its words and its code.
#pragma once

#include <functional>

#include "cmd/cli/command.hpp"
#include "roles/worker/worker.hpp"

namespace imgrec {

/// For test programs that run the same worker with hooks of their own.
struct WorkerHooks {
  std::function<void(JobStep)> on_step = [](JobStep) {};
  std::function<void(ByteView)> on_image = [](ByteView) {};  // before each image is classified
};

/// The roles. Each runs until SIGINT or SIGTERM, then drains, and returns the exit code: 0 after SIGTERM, 130 after
/// SIGINT.
Command local_command();
Command web_command();
Command worker_command(const WorkerHooks& hooks);
Command controller_command();

inline constexpr const char* kRoleNotes =
    "SIGTERM drains and exits with 0; SIGINT (Ctrl-C) drains and exits with 130; a second signal ends it at once.";

Command classify_command();
Command bench_command();
Command model_list_command();
Command model_pull_command();
Command model_import_command();
Command model_verify_command();
Command model_show_command();
Command model_agreement_command();
Command model_add_variant_command();
Command model_tensors_command();
Command doctor_command();
Command setup_command();
Command dead_letters_list_command();
Command dead_letters_redrive_command();
Command dead_letters_drop_command();
Command load_command();
Command simulate_command();
Command deploy_command();
Command deploy_template_command();
Command deploy_status_command();
Command deploy_logs_command();
Command undeploy_command();
Command address_command();
Command user_data_worker_command();
Command bundle_upload_command();
Command key_create_command();
Command key_list_command();
Command key_revoke_command();
Command config_show_command();
Command version_command();
/// `all`: the table of commands that they tell of.
Command completion_command(std::function<std::vector<Command>()> all);
Command manual_command(std::function<std::vector<Command>()> all);

}  // namespace imgrec
