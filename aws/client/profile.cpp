#include "aws/client/profile.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

enum class FileKind { config, credentials };
enum class SectionKind { profile, sso_session, services, ignored };

struct Section {
  SectionKind kind = SectionKind::ignored;
  bool prefixed = false;  // "[profile default]" rather than "[default]"
  std::string name;
  Properties properties;

  /// As FileProblem::section has it.
  std::string shown() const {
    switch (kind) {
      case SectionKind::profile: return "profile " + name;
      case SectionKind::sso_session: return "sso-session " + name;
      case SectionKind::services: return "services " + name;
      default: return "[" + name + "]";
    }
  }
};

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

bool is_valid_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-_/.%@:+").find(c) != std::string_view::npos;
  });
}

// In a property's line a comment needs white space before its sign: "value;" keeps the semicolon.
std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 1; i < line.size(); ++i) {
    if ((line[i] == '#' || line[i] == ';') && is_space(line[i - 1])) return line.substr(0, i);
  }
  return line;
}

// Where the value begins: at "=", or at a ":" as in "region: eu-west-1" and "endpoint_url: http://host/?a=b".
std::size_t delimiter_of(std::string_view text) {
  const std::size_t equals = text.find('='), colon = text.find(':');
  if (colon == std::string_view::npos || equals < colon) return equals;
  if (equals == std::string_view::npos || !is_valid_name(trim(text.substr(0, equals)))) return colon;
  return equals;
}

Section classify(FileKind file, std::string_view title) {
  Section section;
  const std::size_t space = title.find_first_of(" \t");
  const std::string_view prefix = space == std::string_view::npos ? std::string_view() : title.substr(0, space);
  const bool is_known_prefix = prefix == "profile" || prefix == "sso-session" || prefix == "services";
  std::string_view name = title;
  if (is_known_prefix) name = trim(title.substr(space));
  section.name = name;
  if (file == FileKind::credentials) {
    const bool is_named = !name.empty() && (prefix.empty() ? is_valid_name(name) : !is_known_prefix);
    if (is_named) section.kind = SectionKind::profile;
    return section;
  }
  // The AWS CLI writes names with spaces in quotes: [profile "my profile"].
  const bool is_quoted =
      name.size() > 2 && (name.front() == '"' || name.front() == '\'') && name.back() == name.front();
  if (is_quoted) section.name = name = name.substr(1, name.size() - 2);
  if (!is_quoted && !is_valid_name(name)) return section;
  if (prefix == "profile" || (prefix.empty() && name == "default")) {
    section.kind = SectionKind::profile;
    section.prefixed = !prefix.empty();
  } else if (prefix == "sso-session") {
    section.kind = SectionKind::sso_session;
  } else if (prefix == "services") {
    section.kind = SectionKind::services;
  }
  return section;
}

class Parser {
 public:
  Parser(FileKind file, std::vector<FileProblem>& problems) : file_(file), problems_(problems) {}

  std::vector<Section> parse(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    for (std::string_view line : split(text, '\n')) {
      ++line_number_;
      const std::string_view content = trim(line);
      if (content.empty() || content.front() == '#' || content.front() == ';') continue;
      const std::size_t indent = line.find_first_not_of(" \t");
      // Only what is indented more than a property continues it: so it is with Python's configparser.
      if (in_property_ && indent > property_indent_) {
        continuation(content);
      } else if (content.front() == '[') {
        begin_section(content);
      } else {
        property(content, indent);
      }
    }
    return std::move(sections_);
  }

 private:
  void bad(std::string_view what) {
    problems_.push_back({.error = {ErrorKind::invalid, "bad_aws_config",
                                   std::string("The AWS ") + (file_ == FileKind::config ? "config" : "credentials") +
                                       " file, line " + std::to_string(line_number_) + ": " + std::string(what) + "."},
                         .section = sections_.empty() ? "" : sections_.back().shown()});
  }

  void begin_section(std::string_view line) {
    in_property_ = false;
    const std::size_t end = line.find(']');
    const bool is_closed = end < line.find_first_of("#;");
    const std::string_view header = is_closed ? line.substr(0, end) : line.substr(0, line.find_first_of("#;"));
    sections_.push_back(classify(file_, trim(header.substr(1))));
    if (is_closed) return;
    bad("Profile definition must end with ']'");  // it is told to who wants this profile
    sections_.back().kind = SectionKind::ignored;
  }

  void property(std::string_view line, std::size_t indent) {
    in_property_ = true;
    property_indent_ = indent;
    has_sub_properties_ = false;
    key_.clear();
    const char* found = indent > 0 ? "continuation" : "a property";
    if (sections_.empty()) return bad(std::string("Expected a profile definition, found ") + found);
    const std::string_view text = without_comment(line);
    const std::size_t delimiter = delimiter_of(text);
    if (delimiter == std::string_view::npos) {
      return bad(indent > 0 ? "Expected a property definition, found continuation"
                            : "Expected an '=' sign defining a property");
    }
    const std::string_view name = trim(text.substr(0, delimiter));
    if (name.empty()) return bad("Property did not have a name");
    if (is_valid_name(name)) key_ = to_lower(name);  // an invalid name is ignored, with what continues it
    const std::string_view value = trim(text.substr(delimiter + 1));
    has_sub_properties_ = value.empty();
    if (!key_.empty()) sections_.back().properties[key_] = value;
  }

  void continuation(std::string_view text) {
    if (has_sub_properties_) {
      const std::size_t equals = text.find('=');
      if (equals == std::string_view::npos) return bad("Expected an '=' sign defining a sub-property");
      if (trim(text.substr(0, equals)).empty()) return bad("Sub-property did not have a name");
    }
    if (!key_.empty()) sections_.back().properties[key_] += "\n" + std::string(text);
  }

  const FileKind file_;
  std::vector<FileProblem>& problems_;
  int line_number_ = 0;
  std::vector<Section> sections_;
  bool in_property_ = false;
  std::size_t property_indent_ = 0;
  bool has_sub_properties_ = false;
  std::string key_;
};

void merge(Profiles& out, std::vector<Section> sections) {
  const bool default_is_prefixed = std::any_of(sections.begin(), sections.end(), [](const Section& section) {
    return section.kind == SectionKind::profile && section.prefixed && section.name == "default";
  });
  for (Section& section : sections) {
    std::map<std::string, Properties>* into = nullptr;
    if (section.kind == SectionKind::profile) into = &out.profiles;
    if (section.kind == SectionKind::sso_session) into = &out.sso_sessions;
    if (section.kind == SectionKind::services) into = &out.services;
    const bool is_shadowed = default_is_prefixed && section.name == "default" && !section.prefixed;
    if (into == nullptr || (section.kind == SectionKind::profile && is_shadowed)) continue;
    Properties& properties = (*into)[section.name];
    for (auto& [name, value] : section.properties) properties[name] = std::move(value);
  }
}

Result<std::string> read_or_empty(const FileReader& read, const std::filesystem::path& path) {
  if (path.empty()) return std::string();
  auto text = read(path);
  if (!text && text.error().kind == ErrorKind::not_found) return std::string();
  return text;
}

}  // namespace

std::string env_value(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : std::string(trim(found->second));
}

const Properties* Profiles::current() const {
  const auto found = profiles.find(selected);
  return found == profiles.end() ? nullptr : &found->second;
}

std::string property(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  return found == properties.end() ? "" : std::string(trim(found->second));
}

Properties sub_properties(std::string_view value) {
  Properties out;
  for (const std::string_view line : split(value, '\n')) {
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    out[to_lower(trim(line.substr(0, equals)))] = trim(line.substr(equals + 1));
  }
  return out;
}

Profiles parse_profiles(std::string_view config_text, std::string_view credentials_text) {
  Profiles out;
  merge(out, Parser(FileKind::config, out.problems).parse(config_text));
  merge(out, Parser(FileKind::credentials, out.problems).parse(credentials_text));
  return out;
}

Result<void> check_selected(const Profiles& profiles) {
  std::vector<std::string> used = {"profile " + profiles.selected};
  auto found = profiles.profiles.find(profiles.selected);
  if (found == profiles.profiles.end()) {
    used.emplace_back();
  } else if (const std::string services = property(found->second, "services"); !services.empty()) {
    used.push_back("services " + services);
  }
  while (found != profiles.profiles.end()) {
    const std::string source = property(found->second, "source_profile");
    if (source.empty() || std::ranges::find(used, "profile " + source) != used.end()) break;
    used.push_back("profile " + source);
    found = profiles.profiles.find(source);
  }
  for (const FileProblem& problem : profiles.problems) {
    if (std::ranges::find(used, problem.section) != used.end()) return fail(problem.error);
  }
  return {};
}

std::filesystem::path expand_home(std::string_view path, const Environment& environment) {
  const std::string home = env_value(environment, "HOME");
  if (home.empty() || !(path == "~" || path.starts_with("~/"))) return path;
  path.remove_prefix(std::min<std::size_t>(path.size(), 2));
  return path.empty() ? std::filesystem::path(home) : std::filesystem::path(home) / path;
}

ProfileLocations profile_locations(const Environment& environment) {
  ProfileLocations out;
  const bool has_home = !env_value(environment, "HOME").empty();
  const auto place = [&](const char* variable, const char* usual) {
    const std::string given = env_value(environment, variable);
    if (given.empty() && !has_home) return std::filesystem::path();
    return expand_home(given.empty() ? usual : given, environment);
  };
  out.config = place("AWS_CONFIG_FILE", "~/.aws/config");
  out.credentials = place("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
  const std::string profile = env_value(environment, "AWS_PROFILE");
  out.profile = profile.empty() ? "default" : profile;
  return out;
}

Result<Profiles> load_profiles(const Environment& environment, const FileReader& read) {
  const ProfileLocations locations = profile_locations(environment);
  const auto config = read_or_empty(read, locations.config);
  if (!config) return fail(config.error());
  const auto credentials = read_or_empty(read, locations.credentials);
  if (!credentials) return fail(credentials.error());
  Profiles out = parse_profiles(*config, *credentials);
  out.selected = locations.profile;
  out.selected_by_name = !env_value(environment, "AWS_PROFILE").empty();
  if (auto good = check_selected(out); !good) return fail(good.error());
  return out;
}

}  // namespace imgrec::aws
