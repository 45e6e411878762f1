// Real weights, photos and third-party suites lie beside the checkout in ../shared; they are no part of the project.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace imgrec::test {

/// The path of a file or folder of ../shared (or of $IMGREC_SHARED); nothing when it is absent. With
/// IMGREC_REQUIRE_SHARED=1 an absent one ends the test as failed. Archives: see unpacked().
std::optional<std::filesystem::path> shared_path(const std::string& relative);

/// The folder of ../shared/testdata/NAME.tar.xz, unpacked once per build folder; nothing when it is absent.
std::optional<std::filesystem::path> unpacked_testdata(const std::string& name);

}  // namespace imgrec::test

/// In a test: `IMGREC_NEED_SHARED(photos, shared_path("photos/test"));` declares the path, or skips and says why.
#define IMGREC_NEED_SHARED(variable, expression)                                                                 \
  const auto variable##_or_nothing = (expression);                                                               \
  if (!variable##_or_nothing) {                                                                                  \
    if (const char* required = std::getenv("IMGREC_REQUIRE_SHARED"); required && std::string(required) == "1")   \
      FAIL() << "not there: " #expression " (looked in ../shared; IMGREC_REQUIRE_SHARED=1 makes that an error)"; \
    GTEST_SKIP() << "not there: " #expression " (looked in ../shared)";                                          \
  }                                                                                                              \
  const std::filesystem::path variable = *variable##_or_nothing
