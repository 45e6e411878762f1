// The settings of [deploy]: a part of the one table, in a file of its own for its length.
#pragma once

#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/settings.hpp"

namespace imgrec {

void add_deploy_settings(std::vector<Setting>& all);

/// Rules between them and those of the controller. Errors: invalid "bad_setting".
Result<void> validate_deploy(const Config& config);

/// deploy.alarms is for a group and its own policy. Errors: invalid "bad_setting".
Result<void> check_alarms(const Config& config);

/// The most dollars an hour that machines cost: workers_max of them, all of the dearest type, and the web
/// instance.
double dollars_per_hour_of(const Config& config, int workers_max);

/// deploy.max_dollars_per_hour holds for whoever sizes the fleet. workers_max: how many the controller may have.
/// Errors: invalid "bad_setting".
Result<void> check_cost_limit(const Config& config, int workers_max);

}  // namespace imgrec
