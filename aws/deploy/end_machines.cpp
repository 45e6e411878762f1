#include "aws/deploy/end_machines.hpp"

#include <set>

namespace imgrec::aws {
namespace {

constexpr int kStillLaunchedMax = 3;  // what was under way may still appear; more than that is somebody who launches

std::string machines(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " machine" : " machines");
}

}  // namespace

Result<void> end_machines(const MachineCalls& calls, const MachineLimits& limits,
                          const std::function<void(const std::string& line)>& say, Clock& clock, std::stop_token stop) {
  const Deadline end = Deadline::in(clock, limits.whole);
  std::set<InstanceId> told;  // to end
  std::size_t left_before = 0;
  int launches = -1;  // the machines of the first look are none
  while (true) {
    const CallLimits call(Deadline::in(clock, limits.call), stop);
    const auto left = calls.list(call);
    if (!left) return fail(left.error());
    if (left->empty()) return {};
    std::vector<InstanceId> fresh;
    for (const InstanceId& id : *left) {
      if (told.insert(id).second) fresh.push_back(id);
    }
    if (!fresh.empty()) {
      if (++launches > kStillLaunchedMax) {
        return fail(ErrorKind::transient, "machines_launched",
                    "Machines are launched anew all the time: stop `imgrec controller` first.");
      }
      say((launches == 0 ? "Ending " : "Launched meanwhile (is an imgrec controller running?), ending: ") +
          machines(fresh.size()) + ".");
      if (auto ended = calls.end(fresh, call); !ended) return ended;
    } else if (left->size() != left_before) {
      say(machines(left->size()) + " left.");
    }
    left_before = left->size();
    if (end.left(clock) == Millis(0)) {
      return fail(ErrorKind::transient, "machines_left",
                  machines(left->size()) + " did not end: the same command again waits on.");
    }
    if (!clock.sleep_for(limits.poll, stop)) {
      return fail(ErrorKind::cancelled, "cancelled", "Interrupted: the same command again goes on.");
    }
  }
}

}  // namespace imgrec::aws
