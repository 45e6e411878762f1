#include "lib/config/settings_results.hpp"

#include "lib/config/setting_kinds.hpp"

namespace imgrec {

using namespace setting_kinds;

void add_results_settings(std::vector<Setting>& all) {
  constexpr unsigned kRoles = kWorkerCommand | kControllerCommand | kLocalCommand;
  all.push_back(text({"results.layout",
                      "what is stored beside each result document: json (nothing), pair (image and label in an object "
                      "named after the image) or labelled-image (a copy of the image with the label in its name)",
                      {},
                      kRoles},
                     In{&Config::results, &ResultsConfig::layout},
                     {"LAYOUT", "json, pair or labelled-image", [](std::string_view value) {
                        return value == "json" || value == "pair" || value == "labelled-image";
                      }}));
  all.push_back(text({"results.key",
                      "how that object is called: job (JOB/NAME), timestamp-name (TIME_DATE_NAME) or name (the last "
                      "image of a name stays)",
                      {},
                      kRoles},
                     In{&Config::results, &ResultsConfig::key},
                     {"SCHEME", "job, timestamp-name or name", [](std::string_view value) {
                        return value == "job" || value == "timestamp-name" || value == "name";
                      }}));
  all.push_back(text({"results.prefix", "before the key of that object", {}, kRoles},
                     In{&Config::results, &ResultsConfig::prefix}, kPrefix));
}

Result<void> validate_results(const Config& config) {
  const std::string& prefix = config.results.prefix;
  if (prefix.empty() && config.platform == "local") {
    return fail(
        ErrorKind::invalid, "bad_setting",
        "results.prefix is empty: on one machine all objects are in one folder, so that results would lie among "
        "the service's own. Give it a name, such as \"named/\".");
  }
  for (const std::string_view own : {"inputs/", "results/", "attempts/", "status/", "bundles/"}) {
    if (prefix.starts_with(own)) {
      return fail(ErrorKind::invalid, "bad_setting",
                  "results.prefix (" + prefix + ") is where the service keeps its own objects: choose another.");
    }
  }
  return {};
}

}  // namespace imgrec
