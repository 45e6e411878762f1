#include "cmd/commands/bundle_contents.hpp"

#define ZLIB_CONST  // it only reads its input
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

namespace imgrec {
namespace {

constexpr std::size_t kBlockBytes = 512;  // of a tar archive
constexpr std::uint64_t kContentsBytesMax = 4 * kMiB;
constexpr int kGzipWindow = 15 + 16;  // the largest, with gzip's header
constexpr std::string_view kName = "bundle.json";

std::unexpected<Error> no_bundle(const char* why) {
  return fail(ErrorKind::invalid, "no_bundle", std::string("It is no bundle of `./dev bundle`: ") + why + ".");
}

// The bytes that a gzip file holds, from front to back.
class Unpacker {
 public:
  explicit Unpacker(ByteView packed) : left_(packed) { good_ = inflateInit2(&stream_, kGzipWindow) == Z_OK; }
  ~Unpacker() { inflateEnd(&stream_); }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  /// Fills all of `out`; false where the file ends before, or is damaged.
  bool read(std::span<char> out) {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    while (good_ && stream_.avail_out > 0) {
      if (stream_.avail_in == 0) {
        const auto piece = left_.substr(0, std::numeric_limits<uInt>::max());
        stream_.next_in = reinterpret_cast<const Bytef*>(piece.data());
        stream_.avail_in = static_cast<uInt>(piece.size());
        left_.remove_prefix(piece.size());
      }
      good_ = inflate(&stream_, Z_NO_FLUSH) == Z_OK || (stream_.avail_out == 0);
    }
    return good_;
  }
  bool skip(std::uint64_t bytes) {
    std::array<char, 64 * kKiB> nowhere;
    while (bytes > 0) {
      const std::size_t some = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, nowhere.size()));
      if (!read({nowhere.data(), some})) return false;
      bytes -= some;
    }
    return true;
  }

 private:
  ByteView left_;
  z_stream stream_{};
  bool good_ = false;
};

// A field of a tar header: up to its first zero.
std::string_view field(const std::array<char, kBlockBytes>& header, std::size_t at, std::size_t size) {
  const std::string_view whole(header.data() + at, size);
  return whole.substr(0, whole.find('\0'));
}

std::optional<std::uint64_t> octal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

Result<BundleContents> read_contents(const std::string& text) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("models")) return no_bundle("its bundle.json is damaged");
  try {
    return BundleContents{.version = document.at("version").get<std::string>(),
                          .architecture = document.at("architecture").get<std::string>(),
                          .models = document.at("models").get<std::vector<std::string>>()};
  } catch (const nlohmann::json::exception&) {
    return no_bundle("its bundle.json is damaged");
  }
}

}  // namespace

// POSIX.1-1988's ustar: a header of 512 bytes (name at 0, size in octal at 124), then the file, padded to 512.
Result<BundleContents> bundle_contents(ByteView packed) {
  Unpacker unpacker(packed);
  std::array<char, kBlockBytes> header;
  while (unpacker.read(header)) {
    const std::string_view name = field(header, 0, 100);
    if (name.empty()) return no_bundle("it has no bundle.json");  // the end of the archive
    const auto bytes = octal(field(header, 124, 12));
    if (!bytes) return no_bundle("it is no tar archive");
    if (name == kName) {
      if (*bytes > kContentsBytesMax) return no_bundle("its bundle.json has more than 4 MiB");
      std::string text(static_cast<std::size_t>(*bytes), '\0');
      if (!unpacker.read(text)) break;
      return read_contents(text);
    }
    const std::uint64_t padding = (kBlockBytes - *bytes % kBlockBytes) % kBlockBytes;
    if (!unpacker.skip(*bytes) || !unpacker.skip(padding)) break;
  }
  return no_bundle("it is no .tar.gz, or is cut off");
}

}  // namespace imgrec
