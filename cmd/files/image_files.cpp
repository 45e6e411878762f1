#include "cmd/files/image_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "lib/base/text.hpp"
#include "lib/job/image_type.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

constexpr int kDepthMax = 64;

bool is_named_like_an_image(const fs::path& path) {
  constexpr std::array<std::string_view, 13> kExtensions = {".jpg", ".jpeg", ".jpe", ".png",  ".webp", ".bmp", ".gif",
                                                            ".tif", ".tiff", ".dib", ".heic", ".heif", ".avif"};
  return std::ranges::find(kExtensions, to_lower(path.extension().string())) != kExtensions.end();
}

bool begins_like_an_image(const fs::path& path) {
  std::array<char, 32> first{};
  std::ifstream file(path, std::ios::binary);
  file.read(first.data(), first.size());
  return sniff_image_type({first.data(), static_cast<std::size_t>(file.gcount())}).has_value();
}

using OnLeftOut = std::function<void(const std::string& path)>;

void search(const fs::path& folder, int depth, std::vector<ImageFile>& found, const OnLeftOut& on_left_out) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with(".")) entries.push_back(*at);
  }
  if (error) {
    found.push_back({folder.string(), Error{ErrorKind::denied, "folder_unreadable",
                                            "Cannot list " + folder.string() + ": " + error.message() + "."}});
    return;
  }
  std::ranges::sort(entries, {}, [](const fs::directory_entry& entry) { return entry.path().filename().string(); });
  for (const fs::directory_entry& entry : entries) {
    std::error_code ignored;  // an entry that is gone meanwhile is neither
    const bool is_folder = entry.is_directory(ignored);
    if (is_folder && entry.is_symlink(ignored)) continue;
    if (is_folder && depth < kDepthMax) {
      search(entry.path(), depth + 1, found, on_left_out);
    } else if (entry.is_regular_file(ignored) &&
               (is_named_like_an_image(entry.path()) || begins_like_an_image(entry.path()))) {
      found.push_back({entry.path().string(), std::nullopt});
    } else if (on_left_out) {
      on_left_out(entry.path().string());
    }
  }
}

}  // namespace

std::vector<ImageFile> find_image_files(const std::vector<std::string>& arguments, const OnLeftOut& on_left_out) {
  std::vector<ImageFile> found;
  for (const std::string& argument : arguments) {
    std::error_code error;
    if (argument != "-" && fs::is_directory(argument, error))
      search(argument, 0, found, on_left_out);
    else
      found.push_back({argument, std::nullopt});
  }
  return found;
}

}  // namespace imgrec
