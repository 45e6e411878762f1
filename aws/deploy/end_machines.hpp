// Ends the machines of a fleet and waits until none is left: what they use cannot be deleted before.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

struct MachineCalls {
  /// Those that are not ended yet, also the ones that end now.
  std::function<Result<std::vector<InstanceId>>(const CallLimits& limits)> list;
  /// Tells them to end; ids that are gone succeed.
  std::function<Result<void>(std::span<const InstanceId> ids, const CallLimits& limits)> end;
};

struct MachineLimits {
  Millis poll{5'000};
  Millis call{60'000};
  Millis whole{900'000};
};

/// say: one line for each thing that happens. Errors: transient "machines_left" when some are there at the end of the
/// time, transient "machines_launched" when new ones came again and again, cancelled "cancelled", the calls' own.
Result<void> end_machines(const MachineCalls& calls, const MachineLimits& limits,
                          const std::function<void(const std::string& line)>& say, Clock& clock, std::stop_token stop);

}  // namespace imgrec::aws
