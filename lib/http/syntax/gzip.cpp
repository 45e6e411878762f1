#include "lib/http/syntax/gzip.hpp"

#include <zlib.h>

#include <limits>
#include <memory>

namespace imgrec {
namespace {

constexpr std::size_t kTrailerBytes = 8;  // checksum and size, four bytes each
constexpr std::string_view kMagic = "\x1f\x8b";

std::unexpected<Error> damaged(std::string message) {
  return fail(ErrorKind::invalid, "bad_gzip", std::move(message));
}

struct EndInflate {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

}  // namespace

std::uint64_t gunzipped_size(std::string_view packed) {
  if (packed.size() < kMagic.size() + kTrailerBytes || !packed.starts_with(kMagic)) return 0;
  std::uint64_t size = 0;
  for (int i = 1; i <= 4; ++i) size = size << 8 | static_cast<unsigned char>(packed[packed.size() - i]);
  return size;
}

Result<std::string> gunzip(std::string_view packed, std::uint64_t bytes_max) {
  if (!packed.starts_with(kMagic)) return damaged("The body is not gzip, as Content-Encoding says it is.");
  const std::uint64_t size = gunzipped_size(packed);
  if (size > bytes_max || packed.size() > std::numeric_limits<uInt>::max()) {
    return fail(ErrorKind::invalid, "body_too_large",
                "The body unpacks to " + std::to_string(size) + " bytes; at most " + std::to_string(bytes_max) +
                    " are accepted.");
  }
  z_stream stream{};
  constexpr int kGzipAlone = 16;
  if (inflateInit2(&stream, MAX_WBITS + kGzipAlone) != Z_OK) {
    return fail(ErrorKind::transient, "memory_full", "There is no memory to unpack the body; try again in a moment.");
  }
  const std::unique_ptr<z_stream, EndInflate> end(&stream);
  std::string text(static_cast<std::size_t>(size) + 1, '\0');                   // one more, so that a wrong size shows
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int outcome = inflate(&stream, Z_FINISH);
  if (outcome != Z_STREAM_END) return damaged("The gzip in the body is damaged or cut off.");
  if (stream.avail_in != 0) return damaged("Something follows the gzip in the body.");
  if (stream.total_out != size) return damaged("The gzip in the body does not have the size that it says.");
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace imgrec
