#include "roles/simulate/floor.hpp"

#include <algorithm>

namespace imgrec::simulate {
namespace {}  // namespace

double floor_usd(const Workload& workload, const WorkerKind& kind) {
  if (workload.images == 0) return 0;
  const double boot_s = kind.boot_s.quantile(kNormalQuantile1) * (1 - kind.running_share);
  const double machine_s = std::max(kBilledMinS, workload.service_s / kind.slots + boot_s);
  return machine_s * kind.dollars_per_hour / 3600 +
         static_cast<double>(workload.images) * kRequestsPerImage * kDollarsPerRequest;
}

}  // namespace imgrec::simulate
