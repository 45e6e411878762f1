// The metrics of one process in a small file, for its parent (or any program that collects such files) to read. Nothing
// waits for anybody: a process that hangs leaves an old file, which readers leave out.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

struct MetricsFileOptions {
  std::filesystem::path folder;  // made when it is not there
  std::string name;              // of the process, one part of a path; the file is FOLDER/NAME.prom
  MetricLabels labels;           // added to every sample
  Millis interval{1'000};
};

/// Writes the file every interval until a stop is requested, then removes it. Readers see a whole file or the one
/// before; it is not synced to the disk, as nobody needs it after a power cut. What fails is logged once, and tried
/// again at the next interval. Blocks: it is a thread's work.
void run_metrics_file(const MetricsFileOptions& options, Metrics& metrics, Clock& clock, const std::stop_token& stop);

/// The texts in such a folder. Files that were not written for `age_max` are left out and removed: their process is
/// gone, or hangs. At most kMetricsFilesMax files of at most kMetricsFileBytesMax each are read. Does not wait.
std::vector<std::string> read_metrics_files(const std::filesystem::path& folder, WallTime now, Millis age_max);

inline constexpr std::size_t kMetricsFilesMax = 256;
inline constexpr std::uint64_t kMetricsFileBytesMax = kMiB;

}  // namespace imgrec
