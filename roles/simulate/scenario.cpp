#include "roles/simulate/scenario.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "lib/base/file.hpp"
#include "lib/config/values.hpp"
#include "roles/simulate/machines.hpp"

namespace imgrec::simulate {
namespace {

constexpr std::uint64_t kFileBytesMax = kMiB;
constexpr double kRateMax = 1e6;  // images per second
constexpr double kImagesMax = 1e9;
constexpr int kMachinesMax = 100'000;
constexpr double kSpanMaxS = 366.0 * 24 * 3600;

/// Reads a table's values by name, remembers the first mistake, and in the end those names that nobody asked for.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string shown, const WorkerKind& kind)
      : table_(table), shown_(std::move(shown)), kind_(kind) {}

  const toml::node* find(std::string_view name) {
    asked_.insert(std::string(name));
    return table_.get(name);
  }

  /// A number in [0, most]; `otherwise` when it is not there.
  double number(std::string_view name, double most, double otherwise = 0) {
    const toml::node* node = find(name);
    if (node == nullptr) return otherwise;
    const auto value = node->value<double>();
    if (!value || !(*value >= 0) || *value > most) wrong(*node, name, "a number from 0 to " + toml_number(most));
    return value.value_or(0);
  }
  int whole(std::string_view name, std::pair<int, int> range, int otherwise) {
    const toml::node* node = find(name);
    if (node == nullptr) return otherwise;
    const auto value = node->value_exact<std::int64_t>();
    if (value && *value >= range.first && *value <= range.second) return static_cast<int>(*value);
    wrong(*node, name, "a whole number from " + std::to_string(range.first) + " to " + std::to_string(range.second));
    return otherwise;
  }

  std::vector<double> numbers(std::string_view name, double most) {
    std::vector<double> values;
    const toml::node* node = find(name);
    if (node == nullptr) return values;
    if (!node->is_array()) {
      wrong(*node, name, "a list of numbers");
      return values;
    }
    for (const toml::node& one : *node->as_array()) {
      const auto value = one.value<double>();
      if (!value || !(*value >= 0) || *value > most) wrong(one, name, "numbers from 0 to " + toml_number(most));
      values.push_back(value.value_or(0));
    }
    return values;
  }
  double chance(std::string_view name) { return number(name, 1); }

  /// A duration ("90s", "2h"), in seconds.
  double seconds(std::string_view name, double otherwise = 0) {
    const toml::node* node = find(name);
    if (node == nullptr) return otherwise;
    std::optional<Millis> value;
    if (const auto text = node->value_exact<std::string>()) value = parse_duration(*text);
    if (!value || value->count() < 0 || static_cast<double>(value->count()) / 1000 > kSpanMaxS) {
      wrong(*node, name, "a duration such as \"90s\" or \"2h\", of a year at most");
      return 0;
    }
    return static_cast<double>(value->count()) / 1000;
  }

  bool boolean(std::string_view name, bool otherwise) {
    const toml::node* node = find(name);
    if (node == nullptr) return otherwise;
    const auto value = node->value_exact<bool>();
    if (!value) wrong(*node, name, "true or false");
    return value.value_or(false);
  }

  std::string text(std::string_view name) {
    const toml::node* node = find(name);
    if (node == nullptr) return {};
    const auto value = node->value_exact<std::string>();
    if (!value) wrong(*node, name, "a text");
    return value.value_or("");
  }

  /// Images per second: NAME_per_second, or NAME_machines, which is as many as so many machines can work off.
  double rate(const std::string& name, double otherwise) {
    if (find(name + "_machines") != nullptr) {
      return number(name + "_machines", kMachinesMax) * kind_.images_per_s();
    }
    return number(name + "_per_second", kRateMax, otherwise);
  }

  /// One number for all kinds of workers, or a table with one for each: { reference = 450, fast = 20 }.
  int machines(std::string_view name, int otherwise) {
    const toml::node* node = find(name);
    if (node == nullptr) return otherwise;
    const toml::node* one = node->is_table() ? node->as_table()->get(kind_.name) : node;
    const auto value = one == nullptr ? std::nullopt : one->value<std::int64_t>();
    if (!value || *value < 0 || *value > kMachinesMax) {
      wrong(*node, name, "a number, or a table with one for each kind of workers, up to " + toml_number(kMachinesMax));
      return otherwise;
    }
    return static_cast<int>(*value);
  }

  /// The table [name]; nothing when it is not there.
  std::optional<TableReader> table(std::string_view name) {
    const toml::node* node = find(name);
    if (node == nullptr) return std::nullopt;
    if (!node->is_table()) {
      wrong(*node, name, "a table: [" + std::string(name) + "]");
      return std::nullopt;
    }
    return std::optional<TableReader>(std::in_place, *node->as_table(), shown_, kind_);
  }

  /// The tables of an array [[name]].
  std::vector<TableReader> tables(std::string_view name) {
    std::vector<TableReader> readers;
    const toml::node* node = find(name);
    if (node == nullptr) return readers;
    if (!node->is_array_of_tables()) {
      wrong(*node, name, "tables, each as [[" + std::string(name) + "]]");
      return readers;
    }
    for (const auto& one : *node->as_array()) readers.emplace_back(*one.as_table(), shown_, kind_);
    return readers;
  }

  void wrong(const toml::node& node, std::string_view name, const std::string& wanted) {
    if (!mistake_.empty()) return;
    mistake_ = where(node) + std::string(name) + " is wrong: give " + wanted + ".";
  }

  /// Empty when all was right.
  std::string mistake() {
    for (const auto& [name, node] : table_) {
      if (mistake_.empty() && !asked_.contains(std::string(name.str()))) {
        mistake_ = where(node) + "there is nothing called " + std::string(name.str()) +
                   " here; configs/scenarios/README.md says what may be in a scenario.";
      }
    }
    return mistake_;
  }

 private:
  std::string where(const toml::node& node) const {
    return shown_ + ":" + std::to_string(node.source().begin.line) + ": ";
  }
  static std::string toml_number(double value) { return std::to_string(static_cast<long long>(value)); }

  const toml::table& table_;
  const std::string shown_;
  const WorkerKind& kind_;
  std::set<std::string> asked_;
  std::string mistake_;
};

ArrivalPart read_arrivals(TableReader& table, double duration_s) {
  ArrivalPart part;
  part.from_s = table.seconds("from");
  part.to_s = table.seconds("to", duration_s);
  part.images = table.number("images", kImagesMax);
  part.at_s = table.numbers("at_s", kSpanMaxS);
  part.rate_begin = table.rate("rate", 0);
  part.rate_end = table.rate("rate_end", part.rate_begin);
  part.wave_period_s = table.seconds("wave_period");
  part.wave_low = table.number("wave_low", 1, 1);
  return part;
}

FaultWindow read_fault(TableReader& table, double duration_s) {
  FaultWindow window;
  window.from_s = table.seconds("from");
  window.to_s = table.seconds("to", duration_s);
  if (table.find("capacity") != nullptr) window.capacity = table.machines("capacity", 0);
  window.launch_throttled = table.chance("launch_throttled");
  window.launch_reply_lost = table.chance("launch_reply_lost");
  window.shown_late_s = table.seconds("shown_late");
  window.unreadable = table.chance("unreadable");
  window.counts_late_s = table.seconds("counts_late");
  window.controller_killed = table.chance("controller_killed");
  window.controller_down = table.boolean("controller_down", false);
  window.signals_lost = table.boolean("signals_lost", false);
  return window;
}

// What the scenario says of its own workers; the rest is as that of the kind chosen.
void read_workers(TableReader& table, WorkerKind& kind) {
  kind.slots = table.whole("slots", {1, kSlotsMax}, kind.slots);
  kind.image_s.sigma = table.number("sigma", 2, kind.image_s.sigma);
  const double image_s = table.seconds("image", 0);
  if (image_s > 0) kind.image_s.median_s = image_s / std::exp(kind.image_s.sigma * kind.image_s.sigma / 2);
  kind.boot_s.median_s = table.seconds("boot", kind.boot_s.median_s);
  kind.boot_s.sigma = table.number("boot_sigma", 2, kind.boot_s.sigma);
  kind.running_share = table.number("running_share", 1, kind.running_share);
  kind.dollars_per_hour = table.number("dollars_per_hour", 1000, kind.dollars_per_hour);
}

ServiceModel read_service(TableReader& table) {
  ServiceModel service;
  service.counts_late_s = table.seconds("counts_late", service.counts_late_s);
  service.counts_off = table.number("counts_off", 1, service.counts_off);
  service.look_s = table.seconds("look", service.look_s);
  service.drain_timeout_s = table.seconds("drain_timeout", service.drain_timeout_s);
  service.stop_check_s = table.seconds("stop_check", service.stop_check_s);
  return service;
}

}  // namespace

FaultWindow Scenario::faults_at(double at_s) const {
  FaultWindow all;
  for (const FaultWindow& window : faults) {
    if (!window.holds(at_s)) continue;
    if (window.capacity) all.capacity = std::min(all.capacity.value_or(*window.capacity), *window.capacity);
    all.launch_throttled = std::max(all.launch_throttled, window.launch_throttled);
    all.launch_reply_lost = std::max(all.launch_reply_lost, window.launch_reply_lost);
    all.shown_late_s = std::max(all.shown_late_s, window.shown_late_s);
    all.unreadable = std::max(all.unreadable, window.unreadable);
    all.counts_late_s = std::max(all.counts_late_s, window.counts_late_s);
    all.controller_killed = std::max(all.controller_killed, window.controller_killed);
    all.controller_down = all.controller_down || window.controller_down;
    all.signals_lost = all.signals_lost || window.signals_lost;
  }
  return all;
}

Result<Scenario> parse_scenario(const std::string& text, const std::string& shown, const WorkerKind& kind) {
  const auto bad = [](std::string what) { return fail(ErrorKind::invalid, "bad_scenario", std::move(what)); };
  toml::table document;
  try {
    document = toml::parse(text, shown);
  } catch (const toml::parse_error& error) {
    return bad(shown + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()) + ".");
  }
  WorkerKind workers = kind;
  TableReader top(document, shown, workers);
  Scenario scenario;
  std::vector<std::string> mistakes;
  if (auto table = top.table("workers")) {
    read_workers(*table, workers);
    scenario.workers = workers;
    mistakes.push_back(table->mistake());
  }
  if (auto table = top.table("service")) {
    scenario.service = read_service(*table);
    mistakes.push_back(table->mistake());
  }
  scenario.name = std::filesystem::path(shown).stem().string();
  scenario.about = top.text("about");
  scenario.duration_s = top.seconds("duration");
  scenario.machines_max = top.machines("machines_max", scenario.machines_max);
  scenario.losses_per_machine_hour = top.number("losses_per_machine_hour", 1000);
  scenario.loss_notice = top.boolean("loss_notice", true);
  for (TableReader& table : top.tables("arrivals")) {
    scenario.arrivals.push_back(read_arrivals(table, scenario.duration_s));
    mistakes.push_back(table.mistake());
  }
  for (TableReader& table : top.tables("faults")) {
    scenario.faults.push_back(read_fault(table, scenario.duration_s));
    mistakes.push_back(table.mistake());
  }
  mistakes.push_back(top.mistake());
  for (const std::string& mistake : mistakes) {
    if (!mistake.empty()) return bad(mistake);
  }
  if (scenario.duration_s == 0) return bad(shown + ": give a duration, such as duration = \"1h\".");
  if (scenario.machines_max == 0) return bad(shown + ": machines_max is 1 or more.");
  return scenario;
}

Result<Scenario> load_scenario(const std::string& name_or_file, const WorkerKind& kind) {
  std::string names;
  for (const ScenarioFile& file : scenario_files()) {
    if (file.name == name_or_file) return parse_scenario(file.text, std::string(file.name) + ".toml", kind);
    names += (names.empty() ? "" : ", ") + std::string(file.name);
  }
  const auto text = read_file(name_or_file, kFileBytesMax);
  if (text) return parse_scenario(*text, name_or_file, kind);
  if (text.error().kind != ErrorKind::not_found) return fail(text.error());
  return fail(ErrorKind::invalid, "no_such_scenario",
              "There is no scenario or file \"" + name_or_file + "\"; scenarios are: " + names + ".");
}

}  // namespace imgrec::simulate
