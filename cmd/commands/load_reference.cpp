#include "cmd/commands/load_reference.hpp"

#include <cstdio>
#include <utility>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

// The server's words, harmless on a terminal, with their line ends.
std::string printable_lines(std::string_view text) {
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split(text, '\n')) {
    out += (std::exchange(is_first, false) ? "" : "\n") + printable(line);
  }
  return out;
}

}  // namespace

void GeneratorLines::on_image(const load::ImageEnd& end) {
  if (end.is_transport_error) {
    if (lines_ == LoadLines::generator_2026) {
      std::printf("Exception: %s\n", std::string(end.error).c_str());
    } else {
      complain(end.image.name + ": " + std::string(end.error));
    }
  } else if (end.status != 200) {
    ++failed_;
    std::printf("sendErr: %s\n", url_.c_str());
  } else {
    ++completed_;
    if (!end.image.expected.empty()) ++(end.label == end.image.expected ? correct_ : wrong_);
    if (lines_ == LoadLines::generator_2021) {
      std::printf("%s uploaded!\nClassification result: %s\n", printable(end.image.name).c_str(),
                  printable_lines(end.answer).c_str());
    }
  }
  std::fflush(stdout);
}

void GeneratorLines::on_attempt(int attempt, std::uint64_t requests) {
  if (lines_ != LoadLines::generator_2026) return;
  std::printf("[Workload-gen] Attempt-%d %llu/%llu requests successful.\n", attempt,
              static_cast<unsigned long long>(completed_), static_cast<unsigned long long>(requests));
}

void GeneratorLines::on_end(std::uint64_t requests, double seconds) {
  if (lines_ != LoadLines::generator_2026) return;
  const auto line = [](const char* what, std::uint64_t count) {
    std::printf("[Workload-gen] %s: %llu\n", what, static_cast<unsigned long long>(count));
  };
  std::puts("[Workload-gen] All requests have been processed or retried.");
  std::puts("[Workload-gen] ----- Workload Generator Statistics -----");
  line("Total number of requests", requests);
  line("Total number of requests completed successfully", completed_);
  line("Total number of failed requests", failed_);
  line("Total number of correct predictions ", correct_);
  line("Total number of wrong predictions", wrong_);
  std::printf("[Workload-gen] Total Test Duration: %.6f (seconds)\n", seconds);
  std::puts("[Workload-gen] -----------------------------------");
}

}  // namespace imgrec
