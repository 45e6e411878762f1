// The settings of [aws]: a part of the one table, in a file of its own for its length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

void add_aws_settings(std::vector<Setting>& all);

/// Rules between them. Errors: invalid "bad_setting".
Result<void> validate_aws(const AwsConfig& aws);

/// The elements of a LIST setting: "a, b" is {"a", "b"}; empty ones are left out.
std::vector<std::string> list_of(std::string_view text);

/// The image that workers start from: prebaked_image, or else image_id.
const std::string& worker_image(const AwsConfig& aws);

}  // namespace imgrec
