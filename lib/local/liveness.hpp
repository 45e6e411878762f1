// Which of this machine's processes are still there, by names that they give themselves: locks of one file, which the
// kernel gives back however a process ends, also where processes see different process ids (containers).
#pragma once

#include <filesystem>
#include <string>

#include "lib/base/file.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

class Liveness {
 public:
  /// Says that `name` is there, until this is destroyed or the process has ended. Errors: transient or denied
  /// "liveness_unavailable".
  static Result<Liveness> enter(const std::filesystem::path& file, const std::string& name);

  /// Returns true when no process has entered with this name, or it has ended. False also when that cannot be found
  /// out.
  bool is_gone(const std::string& name) const;

 private:
  explicit Liveness(Fd file) : file_(std::move(file)) {}
  Fd file_;
};

}  // namespace imgrec
