// The shared configuration of AWS tools: ~/.aws/config and ~/.aws/credentials.
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "lib/base/result.hpp"

namespace imgrec::aws {

/// The process's environment, passed in.
using Environment = std::map<std::string, std::string>;
/// Reads a whole file; not_found when it is absent.
using FileReader = std::function<Result<std::string>(const std::filesystem::path&)>;

/// The variable's value, trimmed; empty when it is unset or blank.
std::string env_value(const Environment& environment, const std::string& name);

using Properties = std::map<std::string, std::string>;  // names in lower case

struct Profiles {
  std::map<std::string, Properties> profiles;
  std::map<std::string, Properties> sso_sessions;
  std::map<std::string, Properties> services;
  std::string selected = "default";
  bool selected_by_name = false;  // AWS_PROFILE named it

  /// The selected profile; null when there is none.
  const Properties* current() const;
};

/// The property, trimmed; empty when it is absent or blank.
std::string property(const Properties& properties, const std::string& name);
/// The nested settings of a property such as "s3 =\n  addressing_style = path".
Properties sub_properties(std::string_view value);

/// Errors: invalid "bad_aws_config" with the file's kind and the line.
Result<Profiles> parse_profiles(std::string_view config_text, std::string_view credentials_text);

struct ProfileLocations {
  std::filesystem::path config;
  std::filesystem::path credentials;
  std::string profile;
};

/// From AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE and HOME.
ProfileLocations profile_locations(const Environment& environment);

/// Absent files are empty ones. Errors: as parse_profiles; denied or transient "file_unreadable".
Result<Profiles> load_profiles(const Environment& environment, const FileReader& read);

}  // namespace imgrec::aws
