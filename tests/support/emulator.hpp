// Tests of a build for another processor run in an emulator (`./dev test --arm64`), ten to thirty times as slowly.
#pragma once

#include <optional>
#include <string>

namespace imgrec::test {

/// What goes before the path of another program of this build, words with spaces between them; nothing without
/// emulator.
std::optional<std::string> emulator();

}  // namespace imgrec::test
