// Images that lie in buckets of others: what the worker reads for a request that refers to one.
#pragma once

#include <string>

#include "lib/base/result.hpp"
#include "lib/job/job.hpp"
#include "roles/worker/process_job.hpp"

namespace imgrec {

/// How context.reading takes failures: a missing object and a bad key are about one image; whatever else the store
/// says, it cannot be read now (a bucket that is missing, say, is no reason to drop an image).
DependencyOptions input_dependency(Millis hold_max);

/// How context.objects takes failures. Only what passes is an outage: an object that is not there or may not be read is
/// about that reference alone.
DependencyOptions object_dependency(Millis hold_max);

/// The bytes of *request.object, which has to be there. The web tier has checked the bucket; here it is checked again,
/// because this process is the one that has the right to read. Errors: invalid is about this image ("object_not_found",
/// "object_denied", "image_too_large", "bucket_not_allowed", "bad_object_reference"); anything else may pass.
Result<std::string> fetch_object(const JobContext& context, const JobRequest& request);

}  // namespace imgrec
