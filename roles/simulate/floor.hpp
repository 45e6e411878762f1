// The cost that no policy can go below.
#pragma once

#include "roles/simulate/arrivals.hpp"

namespace imgrec::simulate {

/// Dollars that working off this workload costs at the least, whoever decides about machines, and however long anybody
/// waits:
/// - the work: all slots of every billed second busy takes service_s / slots machine-seconds;
/// - one boot: the service begins without machines, so that one has to be launched; the cloud bills the part of its
///   boot after it calls it running. Taken at the boots' 1 % quantile for the fastest of them;
/// - the minimum: that one machine is billed 60 seconds at the least;
/// - the requests that each image takes.
/// A further machine only adds its own boot. Without images: nothing.
double floor_usd(const Workload& workload, const WorkerKind& kind);

/// SQS, us-east-1: 0.40 dollars per million requests. https://aws.amazon.com/sqs/pricing/
constexpr double kDollarsPerRequest = 0.40e-6;
/// Requests of SQS per image at load (README, "On AWS": 0.62 to 0.74).
constexpr double kRequestsPerImage = 0.7;
/// Of a worker that finds nothing: every ten seconds a long poll, and a look for a request to stop.
constexpr double kRequestsPerIdleSecond = 2.0 / 10;

}  // namespace imgrec::simulate
