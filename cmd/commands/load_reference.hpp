// The lines of the reference systems' workload generators, for instructions and scripts that read them.
#pragma once

#include <string>

#include "cmd/commands/load_options.hpp"

namespace imgrec {

/// Prints on standard output. Not thread-safe.
class GeneratorLines {
 public:
  GeneratorLines(LoadLines lines, std::string url) : lines_(lines), url_(std::move(url)) {}

  /// As soon as what became of an image is known.
  void on_image(const load::ImageEnd& end);
  /// 2026: after the attempt of that number, counted from 1.
  void on_attempt(int attempt, std::uint64_t requests);
  /// 2026: at the end.
  void on_end(std::uint64_t requests, double seconds);

 private:
  const LoadLines lines_;
  const std::string url_;
  std::uint64_t completed_ = 0, failed_ = 0, correct_ = 0, wrong_ = 0;
};

}  // namespace imgrec
