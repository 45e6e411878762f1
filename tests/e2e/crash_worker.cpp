// The real `imgrec`, whose worker kills itself (SIGKILL, as a power cut would) at a step of process_job:
//   IMGREC_TEST_CRASH="stored:5"     when it comes to that step for the fifth time
//   IMGREC_TEST_CRASH_IMAGE="text"   when it classifies an image that holds these bytes
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/imgrec.hpp"

namespace {

constexpr std::array<std::string_view, 7> kStepNames = {"received", "parsed",   "fetched", "classified",
                                                        "stored",   "answered", "removed"};

struct CrashPlan {
  std::string step;
  int time = 0;
};

CrashPlan parse_plan(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == text.npos) {
    std::fprintf(stderr, "crash_worker: IMGREC_TEST_CRASH has the form STEP:TIME, not '%s'\n", text.c_str());
    std::exit(2);
  }
  return {text.substr(0, colon), std::stoi(text.substr(colon + 1))};
}

}  // namespace

int main(int argc, char** argv) {
  const imgrec::Environment environment = imgrec::process_environment();
  imgrec::WorkerHooks hooks;
  if (const auto plan_text = environment.find("IMGREC_TEST_CRASH"); plan_text != environment.end()) {
    static std::atomic<int> times = 0;
    hooks.on_step = [plan = parse_plan(plan_text->second)](imgrec::JobStep step) {
      if (plan.step == kStepNames.at(static_cast<std::size_t>(step)) && ++times == plan.time)
        ::kill(::getpid(), SIGKILL);
    };
  }
  if (const auto poison = environment.find("IMGREC_TEST_CRASH_IMAGE"); poison != environment.end()) {
    hooks.on_image = [text = poison->second](imgrec::ByteView image) {
      if (image.find(text) != image.npos) ::kill(::getpid(), SIGKILL);
    };
  }
  return imgrec::run_imgrec(std::vector<std::string>(argv + 1, argv + argc), environment, hooks);
}
