// From the words of `imgrec load` to a workload.
#pragma once

#include <string>
#include <vector>

#include "cmd/cli/command.hpp"
#include "roles/load/fail_if.hpp"
#include "roles/load/plan.hpp"

namespace imgrec {

/// Whose lines are printed.
enum class LoadLines {
  summary,         // this program's own
  generator_2021,  // those of the reference systems' workload generators
  generator_2026,
};

struct LoadOptions {
  load::LoadPlan plan{};
  std::vector<load::LoadImage> images{};
  LoadLines lines = LoadLines::summary;
  bool has_predictions = false;
  bool watch_service = true;
  Millis watch_after{0};
  std::string json, csv, html;  // files; json may be "-"; empty: none
  std::vector<load::FailIf> fail_if{};
};

/// Reads the images and files that it names. Errors: invalid, which names the option; as read_file.
Result<LoadOptions> read_load_options(const Invocation& call);

std::vector<OwnOption> load_own_options();

}  // namespace imgrec
