#include "lib/telemetry/exposition.hpp"

#include <map>

namespace imgrec {
namespace {

constexpr std::string_view kHelp = "# HELP ", kType = "# TYPE ";

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find_first_of(" {"));
}

template <class Function>
void for_each_line(std::string_view text, Function function) {
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    function(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

std::string escaped(std::string_view value) {
  std::string result;
  for (const char c : value) {
    if (c == '\n') {
      result += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') result += '\\';
    result += c;
  }
  return result;
}

struct Family {
  std::string header, samples;
};

}  // namespace

std::string add_labels(std::string_view text, const MetricLabels& labels) {
  std::string added;
  for (const auto& [name, value] : labels) added += (added.empty() ? "" : ",") + name + "=\"" + escaped(value) + "\"";
  std::string result;
  for_each_line(text, [&](std::string_view line) {
    if (line.empty()) return;
    if (!begins_name(line.front()) || added.empty()) {
      result += line;
    } else {
      const std::string_view name = first_word(line);
      const std::string_view rest = line.substr(name.size());
      result += name;
      result += "{" + added;
      if (rest.starts_with("{}")) {
        result += rest.substr(1);
      } else if (rest.starts_with('{')) {
        result += "," + std::string(rest.substr(1));
      } else {
        result += "}" + std::string(rest);
      }
    }
    result += '\n';
  });
  return result;
}

std::string merge_expositions(std::span<const std::string> texts) {
  std::vector<Family> families;  // in the order in which they were met first
  std::map<std::string_view, std::size_t> index;
  const auto family = [&](std::string_view name) -> std::pair<std::size_t, bool> {
    const auto [found, is_new] = index.emplace(name, families.size());
    if (is_new) families.emplace_back();
    return {found->second, is_new};
  };
  for (const std::string& text : texts) {
    std::string_view name;      // of the metric whose lines are being read
    bool takes_header = false;  // this text is the first that has the metric
    for_each_line(text, [&](std::string_view line) {
      const bool is_header = line.starts_with(kHelp) || line.starts_with(kType);
      if (!is_header && (line.empty() || !begins_name(line.front()))) return;
      const std::string_view word = first_word(is_header ? line.substr(kHelp.size()) : line);
      // A histogram's samples are called NAME_bucket, NAME_sum and NAME_count, and follow its header.
      const bool continues = is_header ? word == name : !name.empty() && word.starts_with(name);
      if (!continues) name = word;
      const auto [at, is_new] = family(name);
      if (!continues) takes_header = is_new;
      if (is_header && !takes_header) return;
      (is_header ? families[at].header : families[at].samples).append(line).append("\n");
    });
  }
  std::string result;
  for (const Family& one : families) {
    if (!one.samples.empty()) result += one.header + one.samples;
  }
  return result;
}

}  // namespace imgrec
