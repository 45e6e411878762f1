// Runs a workload: sends its requests when they are due, and keeps account of what became of each.
#pragma once

#include <span>
#include <stop_token>

#include "lib/base/clock.hpp"
#include "roles/load/plan.hpp"

namespace imgrec::load {

/// Blocks until every request has ended; after a stop, ends at once with the figures so far. Hooks are called from this
/// thread and delay the requests that are due meanwhile. Errors: invalid "no_images"; as Engine::make.
Result<LoadResult> run_load(const LoadPlan& plan, std::span<const LoadImage> images, const LoadHooks& hooks,
                            Clock& clock, std::stop_token stop);

}  // namespace imgrec::load
