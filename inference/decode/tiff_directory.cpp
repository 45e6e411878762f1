#include "inference/decode/tiff_directory.hpp"

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/decode/formats.hpp"
#include "lib/base/text.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "TIFF";
constexpr std::uint64_t kTagBytesMax = 64 * kMiB;  // of all tags' values together
constexpr std::uint64_t kEntriesMax = 1000;
constexpr std::size_t kDirectoriesMax = 16;  // looked at for sensor data
constexpr std::uint64_t kMakerBytesMax = 64;

struct Entry {
  std::uint32_t tag = 0, type = 0;
  std::uint64_t count = 0;
  std::uint64_t value_at = 0;  // of the value itself where it fits into the entry, else of its position
};

class DirectoryReader {
 public:
  explicit DirectoryReader(ByteView bytes) : bytes_(bytes), little_(bytes[0] == 'I'), big_(u16(2) == 43) {}

  Result<std::uint64_t> first() const {
    if (bytes_.size() < (big_ ? 16 : 8)) return truncated(kName);
    return big_ ? u64(8) : u32(4);
  }

  /// Calls `take` for each entry; the position of the next directory, 0 for none.
  Result<std::uint64_t> read(std::uint64_t at, const std::function<Result<void>(const Entry&)>& take) const {
    const std::uint64_t count_bytes = big_ ? 8 : 2, entry_bytes = big_ ? 20 : 12, link_bytes = big_ ? 8 : 4;
    if (!inside(at, count_bytes)) return truncated(kName);
    const std::uint64_t entries = big_ ? u64(at) : u16(at);
    if (entries > kEntriesMax) return corrupt(kName, "it has more than 1000 tags");
    const std::uint64_t end = at + count_bytes + entries * entry_bytes;
    if (!inside(at + count_bytes, entries * entry_bytes)) return truncated(kName);
    for (std::uint64_t entry = at + count_bytes; entry < end; entry += entry_bytes) {
      const Entry it{.tag = u16(entry),
                     .type = u16(entry + 2),
                     .count = big_ ? u64(entry + 4) : u32(entry + 4),
                     .value_at = entry + (big_ ? 12 : 8)};
      if (auto ok = take(it); !ok) return fail(ok.error());
    }
    if (!inside(end, link_bytes)) return 0;
    return big_ ? u64(end) : u32(end);
  }

  /// Of a SHORT or a LONG that fits into its entry.
  std::optional<std::uint64_t> number(const Entry& entry) const {
    if (entry.type == TIFF_SHORT) return u16(entry.value_at);
    if (entry.type == TIFF_LONG) return u32(entry.value_at);
    return std::nullopt;
  }

  std::string text(const Entry& entry) const {
    if (entry.type != TIFF_ASCII || entry.count > kMakerBytesMax) return {};
    const std::uint64_t at = entry.count <= (big_ ? 8 : 4) ? entry.value_at : offset(entry.value_at);
    return inside(at, entry.count) ? std::string(bytes_.substr(at, entry.count)) : std::string();
  }

  /// Positions of other directories.
  std::vector<std::uint64_t> offsets(const Entry& entry) const {
    const bool wide = entry.type == TIFF_LONG8 || entry.type == TIFF_IFD8;
    if (!wide && entry.type != TIFF_LONG && entry.type != TIFF_IFD) return {};
    const std::uint64_t size = wide ? 8 : 4, count = std::min<std::uint64_t>(entry.count, kDirectoriesMax);
    const std::uint64_t at = entry.count * size <= (big_ ? 8 : 4) ? entry.value_at : offset(entry.value_at);
    std::vector<std::uint64_t> found;
    if (!inside(at, count * size)) return found;
    for (std::uint64_t i = 0; i < count; ++i) found.push_back(wide ? u64(at + 8 * i) : u32(at + 4 * i));
    return found;
  }

 private:
  bool inside(std::uint64_t at, std::uint64_t count) const {
    return at <= bytes_.size() && count <= bytes_.size() - at;
  }
  std::uint64_t offset(std::uint64_t at) const { return big_ ? u64(at) : u32(at); }
  std::uint32_t u16(std::uint64_t at) const { return little_ ? le16(bytes_, at) : be16(bytes_, at); }
  std::uint32_t u32(std::uint64_t at) const { return little_ ? le32(bytes_, at) : be32(bytes_, at); }
  std::uint64_t u64(std::uint64_t at) const {
    const std::uint64_t first = u32(at), second = u32(at + 4);
    return little_ ? second << 32 | first : first << 32 | second;
  }

  ByteView bytes_;
  bool little_, big_;
};

std::unexpected<Error> too_much() {
  return fail(ErrorKind::invalid, "image_too_large", "The TIFF's tags hold more than an image may.");
}

// Tags and values of DNG 1.7, TIFF/EP, and of makers that have their own compression.
bool is_sensor_data(const Entry& entry, std::optional<std::uint64_t> number) {
  constexpr std::uint32_t kCfaRepeatPatternDim = 33421, kCfaPattern = 33422, kDngVersion = 50706;
  constexpr std::uint64_t kColourFilterArray = 32803, kLinearRaw = 34892;
  constexpr std::array<std::uint64_t, 4> kRawCompressions = {32767 /*Sony*/, 32770 /*Samsung*/, 34713 /*Nikon*/,
                                                             65535 /*Pentax*/};
  if (entry.tag == kCfaRepeatPatternDim || entry.tag == kCfaPattern || entry.tag == kDngVersion) return true;
  if (entry.tag == TIFFTAG_PHOTOMETRIC) return number == kColourFilterArray || number == kLinearRaw;
  return entry.tag == TIFFTAG_COMPRESSION && number &&
         std::ranges::find(kRawCompressions, *number) != kRawCompressions.end();
}

std::string maker_of(const std::string& make) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kMakers = {{{"nikon", "Nikon NEF"},
                                                                                      {"sony", "Sony ARW"},
                                                                                      {"canon", "Canon CR2"},
                                                                                      {"pentax", "Pentax PEF"},
                                                                                      {"ricoh", "Pentax PEF"},
                                                                                      {"samsung", "Samsung SRW"},
                                                                                      {"hasselblad", "Hasselblad 3FR"},
                                                                                      {"eastman kodak", "Kodak DCR"},
                                                                                      {"kodak", "Kodak DCR"},
                                                                                      {"seiko epson", "Epson ERF"},
                                                                                      {"mamiya", "Mamiya MEF"},
                                                                                      {"phase one", "Phase One IIQ"}}};
  const std::string lower = to_lower(make);
  for (const auto& [begin, name] : kMakers) {
    if (lower.starts_with(begin)) return std::string(name);
  }
  return {};
}

}  // namespace

Result<TiffDirectory> read_tiff_directory(ByteView bytes) {
  const DirectoryReader reader(bytes);
  const auto first = reader.first();
  if (!first) return fail(first.error());
  TiffDirectory directory;
  std::uint64_t value_bytes = 0;
  const auto next = reader.read(*first, [&](const Entry& entry) -> Result<void> {
    if (entry.count > kTagBytesMax) return too_much();
    value_bytes += entry.count * 8;  // libtiff widens numbers to 8 bytes
    if (value_bytes > kTagBytesMax) return too_much();
    const auto value = reader.number(entry);
    if (!value) return {};
    // The first of several counts, as in libtiff.
    if (entry.tag == TIFFTAG_IMAGEWIDTH && directory.width == 0) directory.width = *value;
    if (entry.tag == TIFFTAG_IMAGELENGTH && directory.height == 0) directory.height = *value;
    if (entry.tag == TIFFTAG_ORIENTATION && *value >= 1 && *value <= 8)
      directory.orientation = static_cast<int>(*value);
    return {};
  });
  if (!next) return fail(next.error());
  return directory;
}

std::optional<std::string> camera_raw_maker(ByteView bytes) {
  if (bytes.size() >= 10 && bytes.substr(8, 2) == "CR") return "Canon CR2";
  const DirectoryReader reader(bytes);
  std::vector<std::uint64_t> directories;
  if (const auto first = reader.first()) directories.push_back(*first);
  std::string make;
  bool raw = false, dng = false;
  for (std::size_t i = 0; i < directories.size() && i < kDirectoriesMax; ++i) {
    const auto next = reader.read(directories[i], [&](const Entry& entry) -> Result<void> {
      constexpr std::uint32_t kDngVersion = 50706;
      if (is_sensor_data(entry, reader.number(entry))) raw = true;
      if (entry.tag == kDngVersion) dng = true;
      if (entry.tag == TIFFTAG_MAKE && make.empty()) make = reader.text(entry);
      if (entry.tag == TIFFTAG_SUBIFD) {
        const auto more = reader.offsets(entry);
        directories.insert(directories.end(), more.begin(), more.end());
      }
      return {};
    });
    if (next && *next != 0) directories.push_back(*next);
  }
  if (!raw) return std::nullopt;
  return dng ? "DNG" : maker_of(make);
}

}  // namespace imgrec::decode
