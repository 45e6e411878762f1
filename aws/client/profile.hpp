// The shared configuration of AWS tools: ~/.aws/config and ~/.aws/credentials.
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
//
// AWS's tools differ in what they take. A line that one of them takes is taken here: indented properties and sections,
// "name: value" and names of profiles with spaces as the AWS CLI (Python's configparser), comments after values as the
// newer SDKs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec::aws {

/// The process's environment, passed in.
using Environment = std::map<std::string, std::string>;
/// Reads a whole file; not_found when it is absent.
using FileReader = std::function<Result<std::string>(const std::filesystem::path&)>;

/// The variable's value, trimmed; empty when it is unset or blank.
std::string env_value(const Environment& environment, const std::string& name);

using Properties = std::map<std::string, std::string>;  // names in lower case

/// A line that cannot be understood. It matters only to who uses its section.
struct FileProblem {
  Error error;          // invalid "bad_aws_config" with the file's kind and the line
  std::string section;  // "profile NAME", "services NAME" …; empty: before any section
};

struct Profiles {
  std::map<std::string, Properties> profiles;
  std::map<std::string, Properties> sso_sessions;
  std::map<std::string, Properties> services;
  std::string selected = "default";
  bool selected_by_name = false;  // AWS_PROFILE named it
  std::vector<FileProblem> problems;

  /// The selected profile; null when there is none.
  const Properties* current() const;
};

/// The property, trimmed; empty when it is absent or blank.
std::string property(const Properties& properties, const std::string& name);
/// The nested settings of a property such as "s3 =\n  addressing_style = path".
Properties sub_properties(std::string_view value);

/// What could not be understood is in `problems`.
Profiles parse_profiles(std::string_view config_text, std::string_view credentials_text);

/// The first problem of what the selected profile uses: itself, its source profiles, its services section. Where it is
/// not defined at all, also a problem before any section.
Result<void> check_selected(const Profiles& profiles);

/// "~" and "~/x" with HOME in the place of "~"; others, and these where there is no HOME, as they are.
std::filesystem::path expand_home(std::string_view path, const Environment& environment);

struct ProfileLocations {
  std::filesystem::path config;
  std::filesystem::path credentials;
  std::string profile;
};

/// From AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE and HOME. Without HOME the default paths are empty.
ProfileLocations profile_locations(const Environment& environment);

/// Absent files are empty ones. Errors: as check_selected(); denied or transient "file_unreadable".
Result<Profiles> load_profiles(const Environment& environment, const FileReader& read);

}  // namespace imgrec::aws
