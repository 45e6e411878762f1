// How many processors this process may use.
#pragma once

namespace imgrec {

/// The number of processors of the affinity mask, bounded by the cgroup's quota (v2 cpu.max or v1 cfs); at least 1.
int usable_cores();

}  // namespace imgrec
