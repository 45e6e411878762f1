#include "roles/worker/result_layout.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

// Together with the time and the date below the 255 bytes that file systems allow for a name.
constexpr std::size_t kStemBytesMax = 120;
constexpr std::size_t kLabelBytesMax = 48;
constexpr std::size_t kExtensionBytesMax = 16;  // three times as many when each is encoded
constexpr std::size_t kDigestDigits = 8;

struct FileName {
  std::string stem;
  std::string extension;  // with its dot, or empty
};

// The last part of a path, whichever system's, taken apart: "a/test_0.JPEG" → "test_0" and ".JPEG".
FileName file_name_of(std::string_view name) {
  if (const std::size_t slash = name.find_last_of("/\\"); slash != name.npos) name.remove_prefix(slash + 1);
  FileName parts{.stem = file_stem(name), .extension = {}};
  if (name.size() - parts.stem.size() <= kExtensionBytesMax) {
    parts.extension = name.substr(parts.stem.size());
  } else {
    parts.stem = name;
  }
  return parts;
}

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    text += digits.data();
  }
  return text;
}

// The length of the character at the front of valid UTF-8.
std::size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

bool is_unfit(std::string_view character, std::string_view also) {
  if (character.size() == 1) {
    const char c = character.front();
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '/' || c == '\\' || c == '%' ||
           also.find(c) != also.npos;
  }
  // U+0080 to U+009F are control characters, and no XML list of keys can hold U+FFFE and U+FFFF.
  return (character.size() == 2 && character < "\xC2\xA0") || character == "\xEF\xBF\xBE" ||
         character == "\xEF\xBF\xBF";
}

// "1615581640.838089_03-12-2021_". Messages carry milliseconds: the last three digits come from the job's id, so that
// images of one name that were sent together mostly have different times from the start.
std::string time_part(const JobRequest& request, int later) {
  using std::chrono::microseconds;
  const Sha256Digest digest = sha256({request.job.str()});
  const int offset = (digest[0] * 256 + digest[1]) % 1000;
  const auto time = std::chrono::time_point_cast<microseconds>(request.submitted_at) + microseconds(offset + later);
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::int64_t micros = time.time_since_epoch().count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%lld.%06lld_%02u-%02u-%04d_", static_cast<long long>(micros / 1'000'000),
                static_cast<long long>(micros % 1'000'000), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(date.year()));
  return text.data();
}

}  // namespace

std::string key_part(std::string_view text, std::size_t bytes_max, std::string_view also) {
  const std::string valid = to_valid_utf8(text);
  const std::size_t kept_max = bytes_max - kDigestDigits - 1;  // when it has to be cut
  std::string part;
  std::size_t kept = 0;
  std::string_view rest = valid;
  while (!rest.empty() && part.size() <= bytes_max) {
    const std::string_view character = rest.substr(0, character_bytes(rest));
    rest.remove_prefix(character.size());
    if (is_unfit(character, also)) {
      part += escaped(character);
    } else {
      part += character;
    }
    if (part.size() <= kept_max) kept = part.size();
  }
  if (part.size() <= bytes_max) return part;
  part.resize(kept);
  return part + "~" + sha256_hex(text).substr(0, kDigestDigits);
}

bool has_named_results(const ResultsConfig& results) {
  return results.layout != "json";
}

bool copies_image(const ResultsConfig& results) {
  return results.layout == "labelled-image";
}

bool keys_may_meet(const ResultsConfig& results) {
  return results.key == "timestamp-name";
}

ObjectKey named_result_key(const ResultsConfig& results, const JobRequest& request, const JobResult& result,
                           int later) {
  const FileName name = file_name_of(request.name);
  const bool timed = results.key == "timestamp-name";
  std::string object = timed ? time_part(request, later) : std::string();
  object += key_part(name.stem.empty() ? request.job.str() : name.stem, kStemBytesMax);
  // No "#" in the label: the last "##" is where it begins.
  if (copies_image(results)) object += "##" + key_part(result.labels.front().label, kLabelBytesMax, "#");
  if (copies_image(results) || timed) object += key_part(name.extension, 3 * kExtensionBytesMax);
  if (object == "." || object == "..") object = escaped(object);
  if (results.key == "job") object.insert(0, request.job.str() + "/");
  return ObjectKey(results.prefix + object);
}

std::string pair_json(const JobResult& result) {
  return "{" + json_quote(file_stem(result.name)) + ": " + json_quote(result.labels.front().label) + "}";
}

}  // namespace imgrec
