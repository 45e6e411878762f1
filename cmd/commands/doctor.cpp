#include "cmd/commands/doctor.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platform.hpp"
#include "inference/model_loader.hpp"
#include "lib/base/digest.hpp"

namespace imgrec {
namespace {

std::string checks_json(const std::vector<Check>& checks, bool ok) {
  nlohmann::ordered_json all = {{"ok", ok}, {"checks", nlohmann::ordered_json::array()}};
  for (const Check& check : checks) {
    all["checks"].push_back({{"name", check.name},
                             {"status", std::string(to_string(check.status))},
                             {"detail", check.detail},
                             {"fix", check.fix}});
  }
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_text(const std::vector<Check>& checks) {
  std::size_t name_width = 0;
  for (const Check& check : checks) name_width = std::max(name_width, check.name.size());
  std::string out;
  for (const Check& check : checks) {
    const std::string status = check.status == CheckStatus::failed ? "FAILED" : std::string(to_string(check.status));
    out += padded(status, 9) + padded(printable(check.name), name_width + 2) + printable(check.detail) + "\n";
    if (!check.fix.empty()) out += std::string(9, ' ') + "-> " + printable(check.fix) + "\n";
  }
  const auto count = [&](CheckStatus status) { return std::ranges::count(checks, status, &Check::status); };
  return out + "\n" + std::to_string(count(CheckStatus::ok)) + " ok, " + std::to_string(count(CheckStatus::warning)) +
         " warnings, " + std::to_string(count(CheckStatus::failed)) + " failed, " +
         std::to_string(count(CheckStatus::skipped)) + " not asked\n";
}

}  // namespace

std::string_view to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::ok: return "ok";
    case CheckStatus::warning: return "warning";
    case CheckStatus::failed: return "failed";
    case CheckStatus::skipped: return "skipped";
  }
  return "failed";
}

Result<DoctorScope> parse_doctor_scope(const std::string& role) {
  if (role.empty() || role == "all") return DoctorScope{};
  if (role == "web") return DoctorScope{.sends = true, .works = false, .launches = false, .serves = true};
  if (role == "worker") return DoctorScope{.sends = false, .works = true, .launches = false, .serves = false};
  if (role == "controller") return DoctorScope{.sends = false, .works = false, .launches = true, .serves = false};
  if (role == "deployer") {
    return DoctorScope{.sends = false, .works = false, .launches = false, .serves = false, .deploys = true};
  }
  return fail(ErrorKind::invalid, "bad_role",
              "There is no role \"" + role + "\": use all, web, worker, controller or deployer.");
}

Check passed(std::string name, std::string detail) {
  return {.name = std::move(name), .status = CheckStatus::ok, .detail = std::move(detail), .fix = {}};
}

Check failed(std::string name, const Error& error, std::string fix) {
  return {.name = std::move(name), .status = CheckStatus::failed, .detail = error.message, .fix = std::move(fix)};
}

Check call_failed(std::string name, const Error& error, std::string fix) {
  const bool may_pass = error.kind == ErrorKind::transient || error.kind == ErrorKind::throttled;
  return failed(std::move(name), error,
                may_pass ? "Try again; if it stays so: are network, proxy and endpoint (aws.endpoint_url) right?"
                         : std::move(fix));
}

Check check_model(const Config& config) {
  const std::string name = "model " + config.model.name;
  const std::string fix =
      "`imgrec model pull " + config.model.name + "`, or `imgrec model import`; --model names another.";
  const auto entry = ModelStore(config.model.dir).find(config.model.name);
  if (!entry) return failed(name, entry.error(), fix);
  if (entry->folder.empty()) {
    return failed(name, {ErrorKind::not_found, "no_such_model", "It is not in " + config.model.dir + "."}, fix);
  }
  std::vector<std::pair<std::string, std::string>> files = {{entry->manifest.file, entry->manifest.sha256}};
  for (const ModelVariant& variant : entry->manifest.variants) {
    for (const VariantFile& file : variant.files) files.emplace_back(file.file, file.sha256);
  }
  for (const auto& [file, sha256] : files) {
    const auto found = sha256_hex_of_file(entry->folder / file);
    if (!found) return failed(name, found.error(), fix);
    if (*found != sha256) {
      return failed(name, {ErrorKind::invalid, "damaged", file + " is damaged: its SHA-256 is another."}, fix);
    }
  }
  // As a worker does it; nothing of it is kept.
  ClassifierOptions options = classifier_options(config, 1);
  options.cache_dir.clear();
  const auto model = load_model(options);
  if (!model) return failed(name, model.error(), fix);
  if (auto usable = make_classifier_factory(*model, options); !usable) {
    return failed(name, usable.error(), "Give names, reference or a file with one name per line: --labels.");
  }
  return passed(name, std::to_string(files.size()) + " files, checked by their SHA-256, in " + entry->folder.string() +
                          "; runs in " + model->engine + " " + model->precision);
}

namespace {

int run_doctor(const Invocation& call) {
  const auto scope = parse_doctor_scope(call.option("--for"));
  if (!scope) return report(scope.error());
  const auto check = for_platform(call.config(), &check_local, &check_aws);
  const auto checks = check(call.loaded, *scope);
  const bool ok = std::ranges::count(checks, CheckStatus::failed, &Check::status) == 0;
  const std::string out = call.has("--json") ? checks_json(checks, ok) : as_text(checks);
  print(out);
  return ok ? kExitOk : kExitItemFailed;
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .summary = "Check what the service needs, and say how to fix what is wrong",
          .settings = kConfigCommand,
          .examples = {{"imgrec doctor", "this machine, for `imgrec local`"},
                       {"imgrec doctor --config aws.toml", "the AWS account; instances by a dry run"},
                       {"imgrec doctor --config aws.toml --for deployer",
                        "before imgrec deploy: the rights of configs/iam/deployer.json, and the bundle"},
                       {"imgrec doctor --config aws.toml --for worker --json", "one role's part, for programs"}},
          .options = {{"--for", "ROLE",
                       "what one role needs: web, worker, controller or deployer; without it: all but the last"},
                      {"--json", "", "an object: ok, and checks with name, status, detail and fix"}},
          .notes = "Exits with 1 when a check failed. Warnings and what could not be asked are no failures.",
          .run = run_doctor};
}

}  // namespace imgrec
