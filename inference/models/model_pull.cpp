// Downloading a built-in model: mirrors in order, resumed, checked, installed at once.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "inference/models/model_files.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

constexpr int kAttemptsPerMirror = 4;  // as long as each brings new bytes

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> disk_error(const fs::path& path, int error) {
  const std::string text = "Cannot write " + path.string() + ": " + std::strerror(error) + ".";
  if (error == ENOSPC || error == EDQUOT) {
    return fail(ErrorKind::transient, "disk_full",
                text + " Free some space and pull again: it goes on where it stopped.");
  }
  if (error == EACCES || error == EPERM || error == EROFS) return fail(ErrorKind::denied, "file_unwritable", text);
  return fail(ErrorKind::transient, "file_unwritable", text);
}

// The part that has arrived so far, kept between runs.
class PartFile {
 public:
  PartFile(fs::path path, std::uint64_t bytes_wanted)
      : path_(std::move(path)),
        wanted_(bytes_wanted),
        fd_(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) {}

  Result<void> open() {
    if (fd_.get() < 0) return disk_error(path_, errno);
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::transient, "pull_running",
                  "Another process is downloading this model; wait for it to end.");
    }
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return disk_error(path_, errno);
    bytes_ = static_cast<std::uint64_t>(info.st_size);
    return bytes_ > wanted_ ? discard() : Result<void>{};
  }
  Result<void> discard() {
    if (bytes_ > 0 && ::ftruncate(fd_.get(), 0) != 0) return disk_error(path_, errno);
    bytes_ = 0;
    return {};
  }
  Result<void> append(ByteView piece) {
    while (!piece.empty()) {
      const ssize_t written = ::write(fd_.get(), piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return disk_error(path_, errno);
      bytes_ += static_cast<std::uint64_t>(written);
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  std::uint64_t bytes() const { return bytes_; }
  bool complete() const { return bytes_ == wanted_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::uint64_t wanted_;
  Fd fd_;
  std::uint64_t bytes_ = 0;
};

// First byte of "bytes 100-199/200"; nothing when it is not of that form.
bool continues_at(const HttpHeaders& headers, std::uint64_t wanted) {
  for (const auto& [name, value] : headers) {
    if (name != "content-range") continue;
    const std::string_view text = trim(value);
    if (!text.starts_with("bytes ")) return false;
    std::uint64_t first = 0;
    const auto parsed = std::from_chars(text.data() + 6, text.data() + text.size(), first);
    return parsed.ec == std::errc() && first == wanted;
  }
  return false;
}

std::unexpected<Error> mirror_error(ErrorKind kind, const std::string& text) {
  return fail(kind, "mirror_failed", text);
}

class Download {
 public:
  Download(const BuiltInModel& model, PartFile& part, HttpClient& http, const PullProgress& progress)
      : model_(model), part_(part), http_(http), progress_(progress) {}

  /// Success: the part file is the model.
  Result<void> from(const std::string& url, std::stop_token stop) {
    for (int attempt = 0; attempt < kAttemptsPerMirror; ++attempt) {
      const bool resumed = part_.bytes() > 0;
      const std::uint64_t before = part_.bytes();
      Result<void> fetched = part_.complete() ? Result<void>{} : fetch(url, stop);
      if (fetched) fetched = check();
      if (fetched) return {};
      const bool fatal = fetched.error().code != "mirror_failed" && fetched.error().code != "wrong_checksum";
      if (fatal) return fetched;
      // Bytes of an earlier run may have been wrong: once more from the beginning. A lost connection: go on.
      const bool again = fetched.error().code == "wrong_checksum" ? resumed : part_.bytes() > before;
      if (!again) return fetched;
      last_ = fetched.error();
    }
    return fail(last_);
  }

 private:
  Result<void> fetch(const std::string& url, std::stop_token stop) {
    const std::uint64_t begin = part_.bytes();
    bool started = false;
    HttpClientRequest request{.url = url,
                              .headers = {{"accept", "application/octet-stream"}},
                              .body = {},
                              .timeout = std::chrono::hours(6),
                              .stall_timeout = std::chrono::seconds(30),
                              .follow_redirects = true,
                              .response_bytes_max = model_.bytes,
                              .on_body = {}};
    if (begin > 0) request.headers.emplace_back("range", "bytes=" + std::to_string(begin) + "-");
    request.on_body = [&](ByteView piece, int status, const HttpHeaders& headers) -> Result<void> {
      if (!started) {
        started = true;
        if (auto ok = start(begin, status, headers); !ok) return ok;
      }
      if (piece.size() > model_.bytes - part_.bytes())
        return mirror_error(ErrorKind::invalid, "it sends another, larger file");
      if (auto ok = part_.append(piece); !ok) return ok;
      if (progress_) progress_(part_.bytes(), model_.bytes);
      return {};
    };
    const auto response = http_.send(request, stop);
    if (!response) {
      const Error& error = response.error();
      const bool ours = error.code == "disk_full" || error.code == "file_unwritable" || error.code == "mirror_failed";
      if (ours || error.kind == ErrorKind::cancelled) return fail(error);
      return mirror_error(error.kind, error.message);
    }
    return judge(*response);
  }

  // A server that ignores the range sends all of the file again.
  Result<void> start(std::uint64_t begin, int status, const HttpHeaders& headers) {
    if (status == 206) {
      if (begin > 0 && continues_at(headers, begin)) return {};
      return mirror_error(ErrorKind::transient, "it sends another part than the one asked for");
    }
    return part_.discard();
  }

  Result<void> judge(const HttpClientResponse& response) {
    if (response.status == 416) {  // our part is not a part of what it has
      if (auto ok = part_.discard(); !ok) return ok;
      return mirror_error(ErrorKind::transient, "it has nothing after the part that is here (HTTP 416)");
    }
    if (response.status / 100 != 2) {
      return mirror_error(ErrorKind::transient, "it answers HTTP " + std::to_string(response.status));
    }
    if (!part_.complete()) {
      const std::string got = std::to_string(part_.bytes()), all = std::to_string(model_.bytes);
      return mirror_error(ErrorKind::transient, "it sent only " + got + " of " + all + " bytes");
    }
    return {};
  }

  Result<void> check() {
    const auto found = sha256_hex_of_file(part_.path());
    if (!found) return fail(found.error());
    if (*found == model_.manifest.sha256) return {};
    if (auto ok = part_.discard(); !ok) return ok;
    return fail(ErrorKind::invalid, "wrong_checksum", "its file has the SHA-256 " + *found);
  }

  const BuiltInModel& model_;
  PartFile& part_;
  HttpClient& http_;
  const PullProgress& progress_;
  Error last_;
};

std::string host_of(const std::string& url) {
  const std::size_t begin = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  return url.substr(begin, url.find('/', begin) - begin);
}

// All mirrors failed.
std::unexpected<Error> no_mirror(const BuiltInModel& model, const std::vector<Error>& causes) {
  bool all_wrong = true;
  std::string list;
  for (std::size_t i = 0; i < causes.size(); ++i) {
    all_wrong = all_wrong && causes[i].code == "wrong_checksum";
    list += "\n  " + host_of(model.mirrors[i]) + ": " + causes[i].message;
  }
  if (all_wrong) {
    return fail(
        ErrorKind::invalid, "wrong_checksum",
        "What the mirrors send is not " + model.manifest.name + " (SHA-256 " + model.manifest.sha256 + "):" + list);
  }
  return fail(ErrorKind::transient, "mirrors_unreachable",
              "No mirror of " + model.manifest.name + " could deliver it:" + list +
                  "\nPull again to go on where it stopped; or get " + model.manifest.file + " (SHA-256 " +
                  model.manifest.sha256 + ") elsewhere and `imgrec model import FILE --name " + model.manifest.name +
                  " --profile " + std::string(to_string(model.manifest.profile)) + "`.");
}

Result<ModelEntry> install_part(const BuiltInModel& model, const fs::path& part, const fs::path& folder) {
  auto staged = StagedModel::make(folder);
  if (!staged) return fail(staged.error());
  std::error_code error;
  fs::rename(part, staged->path() / model.manifest.file, error);
  if (error) return disk_error(part, error.value());
  return staged->install(model.manifest);
}

}  // namespace

Result<ModelEntry> pull_model(const BuiltInModel& model, const fs::path& folder, HttpClient& http,
                              const PullProgress& progress, std::stop_token stop) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return disk_error(folder, error.value());
  PartFile part(folder / ("." + model.manifest.name + ".part"), model.bytes);
  if (auto ok = part.open(); !ok) return fail(ok.error());
  Download download(model, part, http, progress);
  std::vector<Error> causes;
  for (const std::string& url : model.mirrors) {
    const Result<void> got = download.from(url, stop);
    if (got) return install_part(model, part.path(), folder);
    if (got.error().code != "mirror_failed" && got.error().code != "wrong_checksum") return fail(got.error());
    causes.push_back(got.error());
  }
  return no_mirror(model, causes);
}

Result<ModelEntry> ModelStore::pull(const std::string& name, HttpClient& http, const PullProgress& progress,
                                    std::stop_token stop) {
  const auto entry = find(name);
  if (!entry && entry.error().code != "bad_manifest") return fail(entry.error());  // a damaged one is replaced
  const BuiltInModel* model = find_built_in(name);
  if (entry && !entry->folder.empty() && verify(*entry)) return *entry;
  if (model == nullptr) {
    return fail(ErrorKind::not_found, "no_such_model",
                "The model " + json_quote(name) + " was imported and cannot be pulled; import it again.");
  }
  if (model->mirrors.empty()) {
    return fail(ErrorKind::invalid, "prepared_offline",
                name + " is converted rather than downloaded. Make it with `" + model->prepare_command + "`.");
  }
  return pull_model(*model, folder_, http, progress, stop);
}

}  // namespace imgrec
