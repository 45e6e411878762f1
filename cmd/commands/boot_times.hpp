// imgrec deploy status: how long machines took to become ready, by kind of image.
#pragma once

#include <string>

#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// A table with a heading, as the controller measured and told it in status/service; empty: nothing was measured.
/// Errors: as those of the store and of DescribeImages; invalid "bad_service_status".
Result<std::string> boot_times(const Config& config, aws::Session& session, const CallLimits& limits);

}  // namespace imgrec
