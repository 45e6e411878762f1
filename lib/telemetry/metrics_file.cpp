#include "lib/telemetry/metrics_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/base/file.hpp"
#include "lib/base/outage_log.hpp"

namespace imgrec {
namespace {

constexpr std::string_view kEnding = ".prom";

std::unexpected<Error> unwritable(const std::filesystem::path& file) {
  return fail(ErrorKind::transient, "file_unwritable",
              "Cannot write the metrics to " + file.string() + ": " + std::strerror(errno) + ".");
}

// As write_file_atomic, but without syncing: this happens every second.
Result<void> write_file(const std::filesystem::path& file, std::string_view text) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  const std::string scratch = file.string() + ".new";
  const Fd fd(::open(scratch.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.ok()) return unwritable(file);
  while (!text.empty()) {
    const auto written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return unwritable(file);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::rename(scratch.c_str(), file.c_str()) != 0) return unwritable(file);
  return {};
}

// Nothing when it cannot be told.
std::optional<Millis> age_of(const std::filesystem::path& file, WallTime now) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0) return std::nullopt;
  const WallTime written{Seconds(info.st_mtim.tv_sec) + Millis(info.st_mtim.tv_nsec / 1'000'000)};
  return std::chrono::abs(now - written);  // a time in the future: a clock that was set back
}

}  // namespace

void run_metrics_file(const MetricsFileOptions& options, Metrics& metrics, Clock& clock, const std::stop_token& stop) {
  const std::filesystem::path file = options.folder / (options.name + std::string(kEnding));
  OutageLog writing("writing the metrics' file", clock);
  do {
    if (const auto written = write_file(file, add_labels(metrics.scrape(), options.labels)); written) {
      writing.succeeded();
    } else {
      writing.failed(written.error());
    }
  } while (clock.sleep_for(options.interval, stop));
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  std::filesystem::remove(file.string() + ".new", ignored);
}

std::vector<std::string> read_metrics_files(const std::filesystem::path& folder, WallTime now, Millis age_max) {
  std::vector<std::filesystem::path> fresh, stale;
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::filesystem::path& file = entry->path();
    const auto age = age_of(file, now);
    if (!age) continue;
    if (*age > age_max) {
      stale.push_back(file);
    } else if (file.extension() == kEnding) {
      fresh.push_back(file);
    }
    if (fresh.size() + stale.size() >= kMetricsFilesMax) break;
  }
  for (const std::filesystem::path& file : stale) std::filesystem::remove(file, failure);
  std::ranges::sort(fresh);
  std::vector<std::string> texts;
  for (const std::filesystem::path& file : fresh) {
    // One that was removed meanwhile is no longer of interest.
    if (auto text = read_file(file, kMetricsFileBytesMax)) texts.push_back(*std::move(text));
  }
  return texts;
}

}  // namespace imgrec
