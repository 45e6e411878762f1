#include <nlohmann/json.hpp>

#include <cstdio>

#include "cmd/cli/command.hpp"
#include "cmd/cli/exit_code.hpp"
#include "inference/engine/engine_openvino.hpp"
#include "lib/base/cpu.hpp"

namespace imgrec {

std::string_view version() {
  return IMGREC_VERSION;
}

int run_version(const Invocation& call) {
  if (call.has("--json")) {
    const ProcessorFeatures has = processor_features();
    const nlohmann::ordered_json document{
        {"version", IMGREC_VERSION},
        {"openvino", has_openvino()},
        {"arithmetic", {{"int8", int8_arithmetic(has)}, {"bf16", bf16_arithmetic(has)}}}};
    std::printf("%s\n", document.dump().c_str());
    return kExitOk;
  }
  std::printf("imgrec %s\n", IMGREC_VERSION);
  return kExitOk;
}

}  // namespace imgrec
