#include "tests/support/shared_data.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"

namespace imgrec::test {
namespace {

std::filesystem::path shared_root() {
  if (const char* given = std::getenv("IMGREC_SHARED")) return given;
  return std::filesystem::path(IMGREC_SOURCE_DIR) / ".." / "shared";
}

}  // namespace

std::optional<std::filesystem::path> shared_path(const std::string& relative) {
  const auto path = shared_root() / relative;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

std::optional<std::filesystem::path> unpacked_testdata(const std::string& name) {
  const auto archive = shared_path("testdata/" + name + ".tar.xz");
  if (!archive) return std::nullopt;
  const std::filesystem::path root = std::filesystem::path(IMGREC_BINARY_DIR) / "testdata";
  const auto target = root / name;
  if (std::filesystem::exists(target)) return target;
  // Unpacked aside and renamed, so that tests running side by side never see half of it.
  const auto aside = root / (".unpacking-" + random_hex(system_rng(), 8));
  std::filesystem::create_directories(aside);
  const std::string command = "tar -xJf '" + archive->string() + "' -C '" + aside.string() + "'";
  if (std::system(command.c_str()) != 0) throw std::runtime_error("cannot unpack " + archive->string());
  std::error_code taken;
  std::filesystem::rename(aside / name, target, taken);
  std::filesystem::remove_all(aside);
  if (!std::filesystem::exists(target)) throw std::runtime_error("no folder " + name + " in " + archive->string());
  return target;
}

}  // namespace imgrec::test
