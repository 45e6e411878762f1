#include <nlohmann/json.hpp>

#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/licences.hpp"
#include "inference/engine/engine_openvino.hpp"
#include "lib/base/cpu.hpp"

namespace imgrec {

namespace {

int run_version(const Invocation& call) {
  if (call.has("--json")) {
    const ProcessorFeatures has = processor_features();
    const nlohmann::ordered_json document{
        {"version", version()},
        {"openvino", has_openvino()},
        {"arithmetic", {{"int8", int8_arithmetic(has)}, {"bf16", bf16_arithmetic(has)}}}};
    std::printf("%s\n", document.dump().c_str());
    return kExitOk;
  }
  if (call.has("--licences")) {
    print(kLicences);
    return kExitOk;
  }
  std::printf("imgrec %s\n", std::string(version()).c_str());
  return kExitOk;
}

}  // namespace

Command version_command() {
  return {
      .name = "version",
      .summary = "Print the version",
      .settings = kConfigCommand,
      .examples = {{"imgrec version", ""},
                   {"imgrec version --licences", "what is in it, and whose it is"},
                   {"imgrec version --json", "for programs: with the arithmetic of this processor's int8 and bf16"}},
      .options = {{"--json", "", "an object: version, openvino (in this build), arithmetic"},
                  {"--licences", "", "what is in this program and its package, and under which licences"}},
      .run = run_version};
}

}  // namespace imgrec
