#include "inference/decode/in_child.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <vector>

namespace imgrec::decode::in_child_test {
namespace {

constexpr ChildLimits kLimits{.memory_bytes = 64 * kMiB, .cpu_seconds = 20, .wall_seconds = 60};

std::string code_of(const ChildLimits& limits, const std::function<void()>& work) {
  const auto done = run_in_child(limits, work);
  if (done) return "done";
  EXPECT_FALSE(done.error().message.empty());
  return done.error().code;
}

TEST(InChild, WhatItWritesToSharedBytesComesBack) {
  const SharedBytes shared(1000);
  ASSERT_TRUE(shared.ok());
  int own = 0;
  EXPECT_EQ(code_of(kLimits, [&] { shared.bytes()[999] = std::byte{7}, own = 1; }), "done");
  EXPECT_EQ(shared.bytes()[999], std::byte{7});
  EXPECT_EQ(own, 0) << "nothing else does";
}

TEST(InChild, ACrashIsAnErrorOfTheImage) {
  EXPECT_EQ(code_of(kLimits, [] { std::raise(SIGSEGV); }), "image_corrupt");
  EXPECT_EQ(code_of(kLimits, [] { std::raise(SIGABRT); }), "image_corrupt");
}

TEST(InChild, TimeAndMemoryHaveLimits) {
  EXPECT_EQ(code_of({.memory_bytes = 64 * kMiB, .cpu_seconds = 1, .wall_seconds = 60},
                    [] {
                      while (std::clock() >= 0) {
                      }
                    }),
            "image_too_large");
  EXPECT_EQ(code_of({.memory_bytes = 64 * kMiB, .cpu_seconds = 20, .wall_seconds = 1}, [] { ::pause(); }),
            "image_too_large");
#ifndef __SANITIZE_ADDRESS__  // its allocator ends the program where there is no memory
  EXPECT_EQ(code_of(kLimits,
                    [] {
                      std::vector<char> much(1024 * kMiB);
                      volatile char* const used = much.data();
                      used[0] = 1;
                    }),
            "image_too_large");
#endif
}

TEST(InChild, WhatEndsItFromOutsideSaysNothingAboutTheImage) {
  const auto done = run_in_child(kLimits, [] { std::raise(SIGKILL); });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::transient);
}

}  // namespace
}  // namespace imgrec::decode::in_child_test
