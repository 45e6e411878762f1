#include "lib/local/object_name.hpp"

#include "lib/base/ids.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kPieceBytes = 80;  // times 3 for %XX, and "++": under 255
constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_.=,@-").find(c) != std::string_view::npos;
}

std::string escape(std::string_view piece) {
  if (piece.empty()) return "%";
  std::string name;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    if (is_plain(c) && !(i == 0 && c == '.')) {
      name += c;
    } else {
      name += '%';
      name += kHex[static_cast<unsigned char>(c) >> 4];
      name += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return name;
}

std::optional<std::string> unescape(std::string_view name) {
  if (name == "%") return "";
  std::string piece;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '%') {
      piece += name[i];
      continue;
    }
    if (i + 2 >= name.size()) return std::nullopt;
    const std::size_t high = kHex.find(name[i + 1]), low = kHex.find(name[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    piece += static_cast<char>(16 * high + low);
    i += 2;
  }
  // Exactly one name for each piece: anything else is no work of ours.
  if (piece.empty() || escape(piece) != name) return std::nullopt;
  return piece;
}

}  // namespace

Result<ObjectPath> object_path(std::string_view key) {
  if (auto checked = check_object_key(key); !checked) return fail(checked.error());
  ObjectPath path;
  const auto parts = split(key, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string_view rest = parts[i];
    while (rest.size() >= kPieceBytes) {
      path.folders.push_back(escape(rest.substr(0, kPieceBytes)) + "++");
      rest.remove_prefix(kPieceBytes);
    }
    if (i + 1 < parts.size()) {
      path.folders.push_back(escape(rest) + "+");
    } else {
      path.file = escape(rest);
    }
  }
  return path;
}

std::optional<ObjectNamePart> parse_object_name(std::string_view name) {
  const bool continued = name.ends_with("++");
  const bool is_folder = name.ends_with("+");
  name.remove_suffix(continued ? 2 : is_folder ? 1 : 0);
  auto piece = unescape(name);
  if (!piece || continued != (piece->size() == kPieceBytes) || piece->size() > kPieceBytes) return std::nullopt;
  if (is_folder && !continued) *piece += '/';
  return ObjectNamePart{is_folder, *std::move(piece)};
}

}  // namespace imgrec
