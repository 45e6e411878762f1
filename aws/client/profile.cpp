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
};

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

class Parser {
 public:
  explicit Parser(FileKind file) : file_(file) {}

  Result<std::vector<Section>> parse(std::string_view text) {
    for (std::string_view line : split(text, '\n')) {
      ++line_number_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (trim(line).empty() || line.front() == '#' || line.front() == ';') continue;
      const auto done = line.front() == '['      ? begin_section(line)
                        : is_space(line.front()) ? continuation(line)
                                                 : property(line);
      if (!done) return fail(done.error());
    }
    return std::move(sections_);
  }

 private:
  std::unexpected<Error> bad(std::string_view what) const {
    return fail(ErrorKind::invalid, "bad_aws_config",
                std::string("The AWS ") + (file_ == FileKind::config ? "config" : "credentials") + " file, line " +
                    std::to_string(line_number_) + ": " + std::string(what) + ".");
  }

  Result<void> begin_section(std::string_view line) {
    const std::string_view header = trim(line.substr(0, line.find_first_of("#;")));
    if (!header.ends_with(']')) return bad("Profile definition must end with ']'");
    sections_.push_back(classify(trim(header.substr(1, header.size() - 2))));
    in_property_ = false;
    return {};
  }

  Section classify(std::string_view title) const {
    Section section;
    const std::size_t space = title.find_first_of(" \t");
    const std::string_view prefix = space == std::string_view::npos ? std::string_view() : title.substr(0, space);
    std::string_view name = title;
    if (!prefix.empty()) name = trim(title.substr(space));
    section.name = name;
    if (!is_valid_name(name)) return section;
    if (file_ == FileKind::credentials) {
      if (prefix.empty()) section.kind = SectionKind::profile;
    } else if (prefix == "profile" || (prefix.empty() && name == "default")) {
      section.kind = SectionKind::profile;
      section.prefixed = !prefix.empty();
    } else if (prefix == "sso-session") {
      section.kind = SectionKind::sso_session;
    } else if (prefix == "services") {
      section.kind = SectionKind::services;
    }
    return section;
  }

  Result<void> property(std::string_view line) {
    if (sections_.empty()) return bad("Expected a profile definition, found a property");
    const std::string_view text = without_comment(line);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return bad("Expected an '=' sign defining a property");
    const std::string_view name = trim(text.substr(0, equals));
    if (name.empty()) return bad("Property did not have a name");
    in_property_ = true;
    key_ = is_valid_name(name) ? to_lower(name) : "";  // an invalid name is ignored, with what continues it
    const std::string_view value = trim(text.substr(equals + 1));
    has_sub_properties_ = value.empty();
    if (!key_.empty()) sections_.back().properties[key_] = value;
    return {};
  }

  Result<void> continuation(std::string_view line) {
    if (sections_.empty()) return bad("Expected a profile definition, found continuation");
    if (!in_property_) return bad("Expected a property definition, found continuation");
    const std::string_view text = trim(line);
    if (has_sub_properties_) {
      const std::size_t equals = text.find('=');
      if (equals == std::string_view::npos) return bad("Expected an '=' sign defining a sub-property");
      if (trim(text.substr(0, equals)).empty()) return bad("Sub-property did not have a name");
    }
    if (!key_.empty()) sections_.back().properties[key_] += "\n" + std::string(text);
    return {};
  }

  const FileKind file_;
  int line_number_ = 0;
  std::vector<Section> sections_;
  bool in_property_ = false;
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

Result<Profiles> parse_profiles(std::string_view config_text, std::string_view credentials_text) {
  Profiles out;
  auto config = Parser(FileKind::config).parse(config_text);
  if (!config) return fail(config.error());
  auto credentials = Parser(FileKind::credentials).parse(credentials_text);
  if (!credentials) return fail(credentials.error());
  merge(out, *std::move(config));
  merge(out, *std::move(credentials));
  return out;
}

ProfileLocations profile_locations(const Environment& environment) {
  ProfileLocations out;
  const std::string home = env_value(environment, "HOME");
  const auto in_home = [&](const char* name) {
    return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".aws" / name;
  };
  const std::string config = env_value(environment, "AWS_CONFIG_FILE");
  const std::string credentials = env_value(environment, "AWS_SHARED_CREDENTIALS_FILE");
  const std::string profile = env_value(environment, "AWS_PROFILE");
  out.config = config.empty() ? in_home("config") : std::filesystem::path(config);
  out.credentials = credentials.empty() ? in_home("credentials") : std::filesystem::path(credentials);
  out.profile = profile.empty() ? "default" : profile;
  return out;
}

Result<Profiles> load_profiles(const Environment& environment, const FileReader& read) {
  const ProfileLocations locations = profile_locations(environment);
  const auto config = read_or_empty(read, locations.config);
  if (!config) return fail(config.error());
  const auto credentials = read_or_empty(read, locations.credentials);
  if (!credentials) return fail(credentials.error());
  auto out = parse_profiles(*config, *credentials);
  if (out) {
    out->selected = locations.profile;
    out->selected_by_name = !env_value(environment, "AWS_PROFILE").empty();
  }
  return out;
}

}  // namespace imgrec::aws
