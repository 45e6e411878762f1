// For each setting a value that is allowed and not its default.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "lib/config/settings.hpp"

namespace imgrec::test {

inline std::string other_value(const Setting& setting) {
  static const std::map<std::string, std::string> kTexts = {{"platform", "aws"},
                                                            {"log.level", "debug"},
                                                            {"log.format", "json"},
                                                            {"model.labels", "reference"},
                                                            {"web.bind", "::1"},
                                                            {"state_dir", "/srv/a folder"},
                                                            {"model.engine", "opencv"},
                                                            {"model.precision", "int8"},
                                                            {"model.agreement_min", "0.5"},
                                                            {"web.hosts", "a.example,b"},
                                                            {"model.dir", "/srv/models"},
                                                            {"local.worker_executable", "/opt/other"}};
  if (const auto text = kTexts.find(setting.key); text != kTexts.end()) return text->second;
  if (setting.is_switch) return setting.get(Config()) == "true" ? "false" : "true";
  if (setting.value_name == "SIZE") return setting.key == "web.header_bytes_max" ? "32KiB" : "100MiB";
  if (setting.value_name == "DURATION") return setting.key == "worker.poll_wait" ? "7s" : "17m";
  if (setting.value_name == "NUMBER") return "77";
  if (setting.value_name == "NAME") return "another-name";
  throw std::logic_error("no sample value for " + setting.key);
}

}  // namespace imgrec::test
