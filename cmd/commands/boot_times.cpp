#include "cmd/commands/boot_times.hpp"

#include <algorithm>
#include <cstdio>

#include "aws/adapters/s3_store.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/prebaking.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/job/service_status.hpp"

namespace imgrec {
namespace {

std::string seconds_text(double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

}  // namespace

Result<std::string> boot_times(const Config& config, aws::Session& session, const CallLimits& limits) {
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return "";  // no service to be told of
  const auto store = aws::open_s3_store(session, {.bucket = buckets->output, .setup = aws::BucketSetup::use});
  if (!store) return fail(store.error());
  const ObjectKey key(config.aws.output_prefix + service_status_key().str());
  const auto object = (*store)->get(key, kServiceStatusBytesMax, limits);
  if (!object && object.error().kind == ErrorKind::not_found) return "";
  if (!object) return fail(object.error());
  const auto status = parse_service_status(object->bytes);
  if (!status) return fail(status.error());
  if (status->boots.empty()) return "";
  const auto images = open_images(config, session)->images(limits);
  if (!images) return fail(images.error());
  std::vector<std::vector<std::string>> rows = {{"IMAGE", "KIND", "MACHINES", "MEAN", "SLOWEST"}};
  for (const BootStatus& boot : status->boots) {
    const bool is_baked = std::ranges::find(*images, boot.image, &aws::MachineImage::id) != images->end();
    rows.push_back({printable(boot.image), is_baked ? "has the bundle" : "fetches the bundle",
                    std::to_string(boot.times_s.size()), seconds_text(boot.mean_s()), seconds_text(boot.slowest_s())});
  }
  return "Latest machines, from launch to ready, as the controller measured at " + to_rfc3339(status->at) + ":\n" +
         as_columns(rows);
}

}  // namespace imgrec
